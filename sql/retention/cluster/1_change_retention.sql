ALTER TABLE audit_db.audit_logs_local ON CLUSTER '{cluster}' MODIFY TTL greatest(event_date, toDate(ingested_at)) + INTERVAL 2 YEAR;
