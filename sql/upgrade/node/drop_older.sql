-- Run this when every month is copied and a backup exists. 0 allows the drop of a table above the server's size limit.
DROP TABLE audit_db.audit_logs_before_upgrade SETTINGS max_table_size_to_drop = 0;
