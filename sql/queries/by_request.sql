-- What happened in this request or trace? Oldest first.
-- Two halves, because each has an index of its own, and older servers use neither for an OR of both.
SELECT event_time, service_name, agent_id, action, outcome, resource_type, resource_id,
       http_method, endpoint, status_code, response_time_ms, trace_id, span_id, error_message, message,
       writer_id, seq, event_id
FROM
(
    SELECT * FROM audit_db.audit_logs
    WHERE request_id = {request_id:String} AND request_id != ''
    UNION ALL
    SELECT * FROM audit_db.audit_logs
    WHERE trace_id = {request_id:String} AND trace_id != '' AND request_id != {request_id:String}
)
ORDER BY event_time, writer_id, seq
LIMIT {limit:UInt32};
