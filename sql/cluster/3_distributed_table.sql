CREATE TABLE IF NOT EXISTS audit_db.audit_logs ON CLUSTER '{cluster}' AS audit_db.audit_logs_local
ENGINE = Distributed('{cluster}', 'audit_db', 'audit_logs_local', sipHash64(agent_id));
