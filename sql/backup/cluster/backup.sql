-- "backups" is a disk that every server's configuration allows for backups (<backups><allowed_disk>), and that all of
-- them share, as S3 or a network volume. The name must be new, like audit_logs-2026-11-23.
BACKUP TABLE audit_db.audit_logs_local ON CLUSTER '{cluster}' TO Disk('backups', {name:String});
