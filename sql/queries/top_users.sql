-- Who did the most?
SELECT agent_id, count() AS events, countIf(outcome = 'failure') AS failures,
       uniqExact(action) AS actions, min(event_time) AS first_time, max(event_time) AS last_time
FROM audit_db.audit_logs
WHERE event_date BETWEEN toDate({since:DateTime64(6, 'UTC')}) AND toDate({until:DateTime64(6, 'UTC')})
  AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
GROUP BY agent_id
ORDER BY events DESC, agent_id
LIMIT {limit:UInt32};
