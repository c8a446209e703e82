-- An example: this role sees the rows of one application only. On a cluster name audit_logs_local, and add ON CLUSTER '{cluster}'.
-- The second file keeps all rows visible to all others, and is needed with the first.
CREATE ROW POLICY IF NOT EXISTS audit_billing_only ON audit_db.audit_logs
FOR SELECT USING service_name = 'billing' AS RESTRICTIVE TO audit_reader_role;
