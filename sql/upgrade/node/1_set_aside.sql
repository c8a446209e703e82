-- Next, create the new table with sql/node/2_table.sql. Until then, the rows of the handler wait in its spool.
RENAME TABLE audit_db.audit_logs TO audit_db.audit_logs_before_upgrade;
