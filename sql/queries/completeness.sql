-- Is a row missing, or stored twice? One line for each writer; every process numbers its rows 1, 2, 3, ...
-- missing: numbers that are not there between the first and the last one of the range. A row that still waits in a
--   spool, or was rejected, is not there yet.
-- repeated: rows whose number is there already.
-- before_first: numbers below the first one. They lie before the range, or in a table that had no such column yet, or
--   retention has dropped them; over all of a writer's life they are 0.
-- A number also counts as there a day before and after the range: rows of one moment may lie across its border.
-- Rows that an upgrade has copied are left out. They were numbered by it; sql/upgrade/copied.sql counts them.
SELECT writer_id, any(service_name) AS service, count() AS rows,
       any(first) AS first_seq, any(last) AS last_seq,
       last_seq - first_seq + 1 - uniqExact(seq) AS missing, rows - uniqExact(seq) AS repeated,
       first_seq - 1 AS before_first, min(event_time) AS first_time, max(event_time) AS last_time
FROM audit_db.audit_logs AS logs
GLOBAL INNER JOIN
(
    SELECT writer_id, min(seq) AS first, max(seq) AS last
    FROM audit_db.audit_logs
    WHERE event_date BETWEEN toDate({since:DateTime64(6, 'UTC')}) AND toDate({until:DateTime64(6, 'UTC')})
      AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
      AND writer_id != '' AND NOT startsWith(writer_id, 'before_upgrade/')
    GROUP BY writer_id
) AS ranges USING (writer_id)
WHERE event_date BETWEEN toDate({since:DateTime64(6, 'UTC')}) - 1 AND toDate({until:DateTime64(6, 'UTC')}) + 1
  AND seq BETWEEN first AND last
GROUP BY writer_id
ORDER BY missing + repeated DESC, writer_id;
