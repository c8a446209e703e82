-- Reading only, and no question that takes the server down with it. readonly = 1 also refuses settings of the client's own.
CREATE SETTINGS PROFILE IF NOT EXISTS audit_reader_profile
SETTINGS readonly = 1, max_execution_time = 60, max_memory_usage = 4000000000, max_result_rows = 1000000
TO audit_reader_role, audit_auditor_role;
