GRANT audit_writer_role TO audit_writer;
