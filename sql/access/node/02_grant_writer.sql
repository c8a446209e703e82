-- The application. With SELECT on three columns the handler can see, after a timeout, which of its rows are stored, but
-- not their content.
GRANT INSERT, SELECT(writer_id, seq, event_date) ON audit_db.audit_logs TO audit_writer_role;
