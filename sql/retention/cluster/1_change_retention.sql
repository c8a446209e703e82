ALTER TABLE audit_db.audit_logs_local ON CLUSTER '{cluster}' MODIFY TTL event_date + INTERVAL 2 YEAR;
