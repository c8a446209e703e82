-- The months of the older table: rows to copy, and rows to leave. A row is left if it is past the retention, or if its
-- time is before 1971: such a time was never set, and the new table rejects it.
SELECT toYYYYMM(event_date) AS month,
       countIf(event_time >= toDateTime64('1971-01-01 00:00:00', 3, 'UTC') AND event_date + INTERVAL 2 YEAR > today()) AS rows,
       count() - rows AS left_behind
FROM audit_db.audit_logs_before_upgrade
GROUP BY month
ORDER BY month;
