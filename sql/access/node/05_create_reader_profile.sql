-- Read only, with limits that protect the server from an expensive query. readonly = 1 also rejects settings of the client.
CREATE SETTINGS PROFILE IF NOT EXISTS audit_reader_profile
SETTINGS readonly = 1, max_execution_time = 60, max_memory_usage = 4000000000, max_result_rows = 1000000
TO audit_reader_role, audit_auditor_role;
