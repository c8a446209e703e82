-- What failed, for whom and why? Newest first.
SELECT event_time, agent_id, agent_name, action, resource_type, resource_id,
       http_method, endpoint, status_code, error_message, ip_address, request_id, message, event_id
FROM audit_db.audit_logs
WHERE event_date BETWEEN toDate({since:DateTime64(6, 'UTC')}) AND toDate({until:DateTime64(6, 'UTC')})
  AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
  AND outcome = 'failure'
ORDER BY event_time DESC
LIMIT {limit:UInt32};
