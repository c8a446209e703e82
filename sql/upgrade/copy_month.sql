-- Copies one month (202511) of the older table. The columns that the older table lacks are filled, so that the copy can be
-- verified and queried like any other row: writer_id names the month, seq numbers its rows, event_id is a UUIDv7 of the
-- event's time, outcome follows from the status, and ingested_at is the
-- event's time, so that the retention of a copy counts as before. An interrupted copy may be incomplete: see undo_month.sql.
INSERT INTO audit_db.audit_logs
(
    event_id, event_time, agent_id, agent_name, agent_role, agent_email, action, resource_type, resource_id, resource_name,
    ip_address, endpoint, http_method, status_code, response_time_ms, request_body, response_body, request_headers,
    response_headers, old_value, new_value, user_agent, session_id, request_id, error_message, metadata,
    writer_id, seq, outcome, ingested_at
)
SELECT
    toUUID(concat(substring(ms_hex, 1, 8), '-', substring(ms_hex, 9, 4), '-7', substring(toString(generateUUIDv4()), 16))),
    toTimeZone(toDateTime64(event_time, 6), 'UTC'),
    agent_id, agent_name, agent_role, agent_email, action, resource_type, resource_id, resource_name,
    toIPv6(toString(ip_address)), endpoint, http_method, status_code, response_time_ms, request_body, response_body,
    request_headers, response_headers, old_value, new_value, user_agent, session_id, request_id, error_message, metadata,
    concat('before_upgrade/', toString({month:UInt32})),
    rowNumberInAllBlocks() + 1,
    multiIf(status_code >= 400 OR status_code BETWEEN 1 AND 16 OR error_message != '', 'failure', status_code >= 100, 'success', 'unknown'),
    toTimeZone(toDateTime64(event_time, 3), 'UTC')
FROM
(
    SELECT *, right(concat('0000', lower(hex(toUnixTimestamp64Milli(event_time)))), 12) AS ms_hex
    FROM audit_db.audit_logs_before_upgrade
    WHERE toYYYYMM(event_date) = {month:UInt32}
      AND event_time >= toDateTime64('1971-01-01 00:00:00', 3, 'UTC') AND event_date + INTERVAL 2 YEAR > today()
)
SETTINGS distributed_foreground_insert = 1, parallel_distributed_insert_select = 0;
