-- Next, run the other numbered files here, and those of sql/cluster. Until then, the rows of the handler wait in its spool.
RENAME TABLE audit_db.audit_logs_local TO audit_db.audit_logs_local_before_upgrade ON CLUSTER '{cluster}';
