-- clickhouse-client --param_auditor_password=... --queries-file sql/access/node/08_create_auditor.sql
-- The server stores the SHA-256 of the password.
CREATE USER IF NOT EXISTS audit_auditor IDENTIFIED WITH sha256_password BY {auditor_password:String};
