-- Beside the table, not over it: look at the rows, then copy what is missing, or RENAME.
RESTORE TABLE audit_db.audit_logs AS audit_db.audit_logs_restored FROM Disk('backups', {name:String});
