-- Then make the new table with sql/node/2_table.sql. In between, the handler's rows wait in its spool.
RENAME TABLE audit_db.audit_logs TO audit_db.audit_logs_before_upgrade;
