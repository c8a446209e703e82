-- When every month is copied, and a backup is made; then drop audit_db.audit_logs_before_upgrade, which holds nothing.
DROP TABLE audit_db.audit_logs_local_before_upgrade ON CLUSTER '{cluster}' SETTINGS max_table_size_to_drop = 0;
