-- For people who search the trail. Row policies can narrow what this role sees; see sql/access/examples.
GRANT SELECT ON audit_db.audit_logs TO audit_reader_role;
