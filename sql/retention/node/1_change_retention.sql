ALTER TABLE audit_db.audit_logs MODIFY TTL event_date + INTERVAL 2 YEAR;
