GRANT audit_auditor_role TO audit_auditor;
