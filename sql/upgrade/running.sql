-- Is a month being copied? A copy goes on in the server when whoever asked for it was killed.
SELECT count() AS copies
FROM system.processes
WHERE query_kind = 'Insert' AND position(query, 'FROM audit_db.audit_logs_before_upgrade') > 0;
