-- Who did what to this resource, and what did they change? Newest first.
SELECT event_time, agent_id, agent_name, agent_role, action, outcome, resource_name,
       old_value, new_value, ip_address, request_id, message, event_id
FROM audit_db.audit_logs
WHERE event_date BETWEEN toDate({since:DateTime64(6, 'UTC')}) AND toDate({until:DateTime64(6, 'UTC')})
  AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
  AND resource_type = {resource_type:String} AND resource_id = {resource_id:String}
ORDER BY event_time DESC
LIMIT {limit:UInt32};
