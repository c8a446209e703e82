CREATE ROLE IF NOT EXISTS audit_writer_role, audit_reader_role, audit_auditor_role ON CLUSTER '{cluster}';
