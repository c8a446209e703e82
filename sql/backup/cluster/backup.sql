-- "backups" is a disk that the configuration of every server allows for backups (<backups><allowed_disk>), and that all
-- servers share, such as S3 or a network volume. The name must be new, such as audit_logs-2026-11-23.
BACKUP TABLE audit_db.audit_logs_local ON CLUSTER '{cluster}' TO Disk('backups', {name:String});
