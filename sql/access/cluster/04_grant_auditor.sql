-- Who checks: all rows, and from the server's own log who has asked what of the trail.
GRANT ON CLUSTER '{cluster}' SELECT ON audit_db.audit_logs, SELECT ON audit_db.audit_logs_local, SELECT ON system.query_log TO audit_auditor_role;
