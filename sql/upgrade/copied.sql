-- The months that were copied, whole or in part. It is done when these are the rows of months.sql.
SELECT toUInt32(substring(writer_id, length('before_upgrade/') + 1)) AS month, count() AS rows
FROM audit_db.audit_logs
WHERE startsWith(writer_id, 'before_upgrade/')
GROUP BY month
ORDER BY month;
