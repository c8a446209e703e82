-- clickhouse-client --param_writer_password=... --queries-file sql/access/node/06_create_writer.sql
-- The server stores the SHA-256 of the password.
CREATE USER IF NOT EXISTS audit_writer IDENTIFIED WITH sha256_password BY {writer_password:String};
