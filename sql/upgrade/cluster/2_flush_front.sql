-- What an insert in the background has left in the queue of the Distributed table belongs to the shards.
SYSTEM FLUSH DISTRIBUTED audit_db.audit_logs ON CLUSTER '{cluster}';
