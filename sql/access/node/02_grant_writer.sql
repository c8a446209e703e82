-- The application. The three columns let the handler see, after a timeout, which of its rows arrived; not what is in them.
GRANT INSERT, SELECT(writer_id, seq, event_date) ON audit_db.audit_logs TO audit_writer_role;
