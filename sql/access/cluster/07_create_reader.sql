-- clickhouse-client --param_reader_password=... --queries-file sql/access/cluster/07_create_reader.sql
-- The server stores the SHA-256 of the password.
CREATE USER IF NOT EXISTS audit_reader ON CLUSTER '{cluster}' IDENTIFIED WITH sha256_password BY {reader_password:String};
