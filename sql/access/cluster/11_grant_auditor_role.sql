GRANT ON CLUSTER '{cluster}' audit_auditor_role TO audit_auditor;
