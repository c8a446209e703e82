-- Restores beside the table, not over it. Look at the rows, then copy the missing ones, or RENAME the table.
RESTORE TABLE audit_db.audit_logs AS audit_db.audit_logs_restored FROM Disk('backups', {name:String});
