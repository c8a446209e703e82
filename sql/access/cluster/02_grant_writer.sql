-- The application. With SELECT on three columns the handler can see, after a timeout, which of its rows are stored, but
-- not their content.
GRANT ON CLUSTER '{cluster}' INSERT, SELECT(writer_id, seq, event_date) ON audit_db.audit_logs,
    INSERT, SELECT(writer_id, seq, event_date) ON audit_db.audit_logs_local TO audit_writer_role;
