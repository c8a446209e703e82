-- Which requests took longest?
SELECT event_time, response_time_ms, http_method, endpoint, status_code, service_name,
       agent_id, action, resource_type, resource_id, request_id, trace_id, event_id
FROM audit_db.audit_logs
WHERE event_date BETWEEN toDate({since:DateTime64(6, 'UTC')}) AND toDate({until:DateTime64(6, 'UTC')})
  AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
  AND response_time_ms >= {threshold_ms:UInt32}
ORDER BY response_time_ms DESC, event_time DESC
LIMIT {limit:UInt32};
