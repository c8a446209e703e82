-- An example: this role sees only the rows of one application. On a cluster, name audit_logs_local and add
-- ON CLUSTER '{cluster}'. The second file keeps all rows visible to all other users; run it too.
CREATE ROW POLICY IF NOT EXISTS audit_billing_only ON audit_db.audit_logs
FOR SELECT USING service_name = 'billing' AS RESTRICTIVE TO audit_reader_role;
