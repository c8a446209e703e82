-- "backups" is a disk that the server's configuration allows for backups (<backups><allowed_disk>). The name must be new,
-- such as audit_logs-2026-11-23: the server rejects a second backup of the same name.
BACKUP TABLE audit_db.audit_logs TO Disk('backups', {name:String});
