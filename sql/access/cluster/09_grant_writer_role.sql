GRANT ON CLUSTER '{cluster}' audit_writer_role TO audit_writer;
