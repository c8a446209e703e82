-- Sends the rows that background inserts left in the queue of the Distributed table to the shards.
SYSTEM FLUSH DISTRIBUTED audit_db.audit_logs ON CLUSTER '{cluster}';
