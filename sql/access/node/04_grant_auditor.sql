-- For auditors: every row, and the server's log of the queries of each user.
GRANT SELECT ON audit_db.audit_logs, SELECT ON system.query_log TO audit_auditor_role;
