CREATE TABLE IF NOT EXISTS audit_db.audit_logs_before_upgrade ON CLUSTER '{cluster}' AS audit_db.audit_logs_local_before_upgrade
ENGINE = Distributed('{cluster}', 'audit_db', 'audit_logs_local_before_upgrade', sipHash64(agent_id));
