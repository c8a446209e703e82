-- Who read what, how often and when? actions lists the names of read actions in your trail: ['READ', 'VIEW', 'EXPORT'].
SELECT agent_id, any(agent_name) AS name, resource_type, resource_id, count() AS reads,
       countIf(outcome = 'failure') AS refused, min(event_time) AS first_time, max(event_time) AS last_time,
       uniqExact(ip_address) AS addresses
FROM audit_db.audit_logs
WHERE event_date BETWEEN toDate({since:DateTime64(6, 'UTC')}) AND toDate({until:DateTime64(6, 'UTC')})
  AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
  AND action IN {actions:Array(String)}
  AND resource_type = {resource_type:String}
GROUP BY agent_id, resource_type, resource_id
ORDER BY reads DESC, agent_id, resource_id
LIMIT {limit:UInt32};
