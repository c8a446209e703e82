-- Is a row missing, or stored twice? One line for each writer; every process numbers its rows 1, 2, 3, ...
-- missing: numbers that are not there between the first and the last one of the range. A row is there when it has
--   arrived: one that waits in a spool is missing until then, and so is one whose time its extra set to another day.
-- repeated: numbers that are there more than once.
-- before_first: numbers below the first one. They lie before the range, or were stored before the table had the
--   column, or retention has dropped them; over all of a writer's life they are 0.
SELECT writer_id, any(service_name) AS service, count() AS rows, min(seq) AS first_seq, max(seq) AS last_seq,
       last_seq - first_seq + 1 - uniqExact(seq) AS missing, rows - uniqExact(seq) AS repeated,
       first_seq - 1 AS before_first, min(event_time) AS first_time, max(event_time) AS last_time
FROM audit_db.audit_logs
WHERE event_date BETWEEN toDate({since:DateTime64(6, 'UTC')}) AND toDate({until:DateTime64(6, 'UTC')})
  AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
  AND writer_id != ''
GROUP BY writer_id
ORDER BY missing + repeated DESC, writer_id;
