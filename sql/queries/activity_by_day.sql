-- How often was each action done on each day, and how often did it fail? Days are whole days in UTC.
SELECT event_date, action, sum(rows) AS events, sumIf(rows, outcome = 'failure') AS failures
FROM
(
    -- The projection by_day answers this part from a few rows per day.
    SELECT event_date, action, outcome, count() AS rows
    FROM audit_db.audit_logs
    WHERE event_date BETWEEN toDate({since:DateTime64(6, 'UTC')}) AND toDate({until:DateTime64(6, 'UTC')})
    GROUP BY event_date, action, outcome
)
GROUP BY event_date, action
ORDER BY event_date, events DESC, action;
