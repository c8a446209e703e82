-- Who checks: all rows, and from the server's own log who has asked what of the trail.
GRANT SELECT ON audit_db.audit_logs, SELECT ON system.query_log TO audit_auditor_role;
