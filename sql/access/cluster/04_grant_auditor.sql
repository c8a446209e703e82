-- For auditors: every row, and the server's log of the queries of each user.
GRANT ON CLUSTER '{cluster}' SELECT ON audit_db.audit_logs, SELECT ON audit_db.audit_logs_local, SELECT ON system.query_log TO audit_auditor_role;
