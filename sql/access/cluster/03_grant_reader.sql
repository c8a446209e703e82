-- For people who search the trail. Row policies can narrow what this role sees; see sql/access/examples.
GRANT ON CLUSTER '{cluster}' SELECT ON audit_db.audit_logs, SELECT ON audit_db.audit_logs_local TO audit_reader_role;
