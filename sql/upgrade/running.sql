-- Is a month being copied? A copy continues on the server after its client was killed.
SELECT count() AS copies
FROM system.processes
WHERE query_kind = 'Insert' AND position(query, 'FROM audit_db.audit_logs_before_upgrade') > 0;
