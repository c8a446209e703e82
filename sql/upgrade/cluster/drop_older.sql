-- Run this when every month is copied and a backup exists. Then drop audit_db.audit_logs_before_upgrade, which holds no
-- rows.
DROP TABLE audit_db.audit_logs_local_before_upgrade ON CLUSTER '{cluster}' SETTINGS max_table_size_to_drop = 0;
