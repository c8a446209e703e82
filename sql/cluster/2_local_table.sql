CREATE TABLE IF NOT EXISTS audit_db.audit_logs_local ON CLUSTER '{cluster}'
(
    event_id UUID COMMENT 'UUIDv7 of the event' CODEC(ZSTD(1)),
    event_time DateTime64(6, 'UTC') COMMENT 'Time of the logger call, UTC' CODEC(Delta(8), ZSTD(1)),
    event_date Date DEFAULT toDate(event_time) COMMENT 'Day of event_time',
    agent_id String COMMENT 'Id of the user or program that acted' CODEC(ZSTD(1)),
    agent_name String COMMENT 'Name of the user or program that acted' CODEC(ZSTD(1)),
    agent_role LowCardinality(String) COMMENT 'Role of the user',
    agent_email String COMMENT 'E-mail address of the user' CODEC(ZSTD(1)),
    action LowCardinality(String) COMMENT 'Action: CREATE, UPDATE, DELETE, ...',
    resource_type LowCardinality(String) COMMENT 'Type of the resource, such as order',
    resource_id String COMMENT 'Id of the resource' CODEC(ZSTD(1)),
    resource_name String COMMENT 'Name of the resource' CODEC(ZSTD(1)),
    ip_address IPv6 DEFAULT toIPv6('::') COMMENT 'Address of the client; IPv4 as ::ffff:a.b.c.d' CODEC(ZSTD(1)),
    endpoint String COMMENT 'Path of the request' CODEC(ZSTD(1)),
    http_method LowCardinality(String) COMMENT 'Method of the request',
    status_code UInt16 COMMENT 'HTTP status of the response, 0 for none' CODEC(ZSTD(1)),
    response_time_ms UInt32 COMMENT 'Milliseconds until the response was complete' CODEC(T64, ZSTD(1)),
    request_body String COMMENT 'Redacted; may be cut (metadata._truncated)' CODEC(ZSTD(3)),
    response_body String COMMENT 'Redacted; may be cut (metadata._truncated)' CODEC(ZSTD(3)),
    request_headers String COMMENT 'JSON object, redacted' CODEC(ZSTD(3)),
    response_headers String COMMENT 'JSON object, redacted' CODEC(ZSTD(3)),
    old_value String COMMENT 'Value before the change, redacted' CODEC(ZSTD(3)),
    new_value String COMMENT 'Value after the change, redacted' CODEC(ZSTD(3)),
    user_agent String COMMENT 'Client program' CODEC(ZSTD(1)),
    session_id String COMMENT 'Session of the user' CODEC(ZSTD(1)),
    request_id String COMMENT 'Trace id of the request, or its X-Request-ID' CODEC(ZSTD(1)),
    error_message String COMMENT 'Reason of the failure' CODEC(ZSTD(1)),
    metadata String DEFAULT '{}' COMMENT 'JSON object: all other fields, and marks such as _invalid and _truncated' CODEC(ZSTD(3)),
    trace_id String COMMENT 'OpenTelemetry trace id, 32 hex digits' CODEC(ZSTD(1)),
    span_id String COMMENT 'OpenTelemetry span id, 16 hex digits' CODEC(ZSTD(1)),
    service_name LowCardinality(String) COMMENT 'Application that wrote the row',
    writer_id String COMMENT 'Process that wrote the row' CODEC(ZSTD(1)),
    seq UInt64 COMMENT 'Number of the row within its writer: 1, 2, 3, ... A gap is a lost row, a repeat a duplicate' CODEC(Delta(8), ZSTD(1)),
    level LowCardinality(String) COMMENT 'Level of the log record',
    logger LowCardinality(String) COMMENT 'Name of the logger',
    message String COMMENT 'Text of the log record' CODEC(ZSTD(1)),
    outcome LowCardinality(String) COMMENT 'success, failure or unknown',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Time at which ClickHouse stored the row' CODEC(Delta(8), ZSTD(1)),
    INDEX ix_event_time  event_time  TYPE minmax             GRANULARITY 1,
    INDEX ix_event_id    event_id    TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX ix_resource_id resource_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX ix_request_id  request_id  TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX ix_trace_id    trace_id    TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX ix_session_id  session_id  TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX ix_ip_address  ip_address  TYPE bloom_filter(0.01) GRANULARITY 1,
    CONSTRAINT date_matches_time CHECK event_date = toDate(event_time),
    CONSTRAINT time_is_sane      CHECK event_time >= toDateTime64('1971-01-01 00:00:00', 6, 'UTC'),
    PROJECTION by_day
    (SELECT event_date, service_name, action, outcome, count()
     GROUP BY event_date, service_name, action, outcome)
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/audit_db/audit_logs_local', '{replica}')
PARTITION BY toYYYYMM(event_date)
ORDER BY (event_date, agent_id, event_time)
TTL greatest(event_date, toDate(ingested_at)) + INTERVAL 2 YEAR
SETTINGS index_granularity = 2048, ttl_only_drop_parts = 1,
         replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800,
         fsync_after_insert = 1, fsync_part_directory = 1;
