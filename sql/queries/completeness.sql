-- Is a row missing, or stored twice? One line per writer; every process numbers its rows 1, 2, 3, ...
-- missing: numbers that do not exist between the first and the last one of the range. A row that still waits in a spool, or
--   was rejected, is missing too.
-- repeated: rows with a number that an earlier row has.
-- before_first: numbers below the first one. Their rows are older than the range, or come from a table that had no such
--   column, or were dropped by retention. Over the whole life of a writer it is 0.
-- Numbers of one day before and after the range count too: rows of the same moment can lie on both sides of its border.
-- Rows that an upgrade copied are left out, because the upgrade numbered them; sql/upgrade/copied.sql counts them.
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
WHERE event_date BETWEEN greatest(toDate({since:DateTime64(6, 'UTC')}), toDate('1970-01-02')) - 1 AND toDate({until:DateTime64(6, 'UTC')}) + 1
  AND seq BETWEEN first AND last
GROUP BY writer_id
ORDER BY missing + repeated DESC, writer_id;
