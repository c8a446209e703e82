-- The Distributed table holds no rows itself. sql/cluster/3_distributed_table.sql creates it again, with all columns.
DROP TABLE IF EXISTS audit_db.audit_logs ON CLUSTER '{cluster}' SYNC;
