-- "backups" is a disk that the server's configuration allows for backups (<backups><allowed_disk>); the name must be new,
-- like audit_logs-2026-11-23. A second backup of one name is refused.
BACKUP TABLE audit_db.audit_logs TO Disk('backups', {name:String});
