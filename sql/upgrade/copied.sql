-- The rows of each month that were copied, complete or not. A month is done when its rows equal those of months.sql.
SELECT toUInt32(substring(writer_id, length('before_upgrade/') + 1)) AS month, count() AS rows
FROM audit_db.audit_logs
WHERE startsWith(writer_id, 'before_upgrade/')
GROUP BY month
ORDER BY month;
