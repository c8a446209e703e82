-- Needed only after the copy of a month was interrupted: deletes the rows that it copied.
ALTER TABLE audit_db.audit_logs
DELETE WHERE writer_id = concat('before_upgrade/', toString({month:UInt32}))
SETTINGS mutations_sync = 2;
