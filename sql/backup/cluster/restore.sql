-- For a cluster that has lost its table: restores the rows of each shard under the table's own name. If the table still
-- exists, drop it first, or restore one shard at a time with sql/backup/node/restore.sql.
RESTORE TABLE audit_db.audit_logs_local ON CLUSTER '{cluster}' FROM Disk('backups', {name:String});
