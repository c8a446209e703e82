-- Only needed when the copying of a month was interrupted: takes what it copied away again.
ALTER TABLE audit_db.audit_logs
DELETE WHERE writer_id = concat('before_upgrade/', toString({month:UInt32}))
SETTINGS mutations_sync = 2;
