-- Undoes 1_set_aside.sql, as long as there is no new table.
RENAME TABLE audit_db.audit_logs_before_upgrade TO audit_db.audit_logs;
