GRANT ON CLUSTER '{cluster}' audit_reader_role TO audit_reader;
