-- The months of the older table: rows to copy, and rows to leave. Left are rows from before 2020, a time that nobody set
-- and that the table refuses, and rows that are too old to be kept.
SELECT toYYYYMM(event_date) AS month,
       countIf(event_time >= toDateTime64('2020-01-01 00:00:00', 3, 'UTC') AND event_date + INTERVAL 2 YEAR > today()) AS rows,
       count() - rows AS left_behind
FROM audit_db.audit_logs_before_upgrade
GROUP BY month
ORDER BY month;
