-- Who logged in at night or on a weekend? Newest first.
-- opens and closes are hours of the day in timezone: 8 and 18 mean a working day from 08:00 to 17:59.
SELECT event_time, toTimeZone(event_time, {timezone:String}) AS local_time, agent_id, agent_name, action, outcome,
       ip_address, user_agent, session_id, message, event_id
FROM audit_db.audit_logs
WHERE event_date BETWEEN toDate({since:DateTime64(6, 'UTC')}) AND toDate({until:DateTime64(6, 'UTC')})
  AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
  AND action IN {actions:Array(String)}
  AND (toHour(local_time) < {opens:UInt8} OR toHour(local_time) >= {closes:UInt8} OR toDayOfWeek(local_time) > 5)
ORDER BY event_time DESC
LIMIT {limit:UInt32};
