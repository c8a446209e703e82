GRANT audit_reader_role TO audit_reader;
