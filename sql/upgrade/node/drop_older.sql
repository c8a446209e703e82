-- When every month is copied, and a backup is made. 0: also where the table is larger than the server lets one drop.
DROP TABLE audit_db.audit_logs_before_upgrade SETTINGS max_table_size_to_drop = 0;
