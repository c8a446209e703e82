-- What did this user do? Newest first.
SELECT event_time, action, outcome, resource_type, resource_id, resource_name,
       http_method, endpoint, status_code, ip_address, session_id, request_id, message, event_id
FROM audit_db.audit_logs
WHERE event_date BETWEEN toDate({since:DateTime64(6, 'UTC')}) AND toDate({until:DateTime64(6, 'UTC')})
  AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
  AND agent_id = {agent_id:String}
ORDER BY event_time DESC
LIMIT {limit:UInt32};
