-- For a cluster that has lost its table: rows come back under its own name, on each shard its own. Where the table is
-- still there, drop it first, or restore a shard at a time with sql/backup/node/restore.sql.
RESTORE TABLE audit_db.audit_logs_local ON CLUSTER '{cluster}' FROM Disk('backups', {name:String});
