"""
Events of the past, in tables of today and of release 0.1.0. What was acknowledged stays stored: the
retention counts from the later of event and ingestion.

ClickHouse drops expired rows when it merges, so each test merges before it counts.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from tests.faults.staging import Application, Judge, Lines
from tests.support.commands import run
from tests.support.loopback import LoopbackClickHouse

pytestmark = pytest.mark.once

MakeApplication = Callable[..., Application]

PAST = "events of the past, past the retention"

# Before the retention of two years: the first year that is accepted, one that the constraint of
# 0.1.0 rejects, and one that it accepts.
BEFORE_2020 = ("1971-01-01T00:00:00Z", "2012-02-29T12:00:00Z")
EXPIRED = (datetime.now(timezone.utc) - timedelta(days=3 * 365)).isoformat()


def audit_past(app: Application) -> None:
    """Audit 20 events of each time of the past, and then 20 of now."""
    for time in (*BEFORE_2020, EXPIRED):
        app.audit(20, event_time=time)
    app.audit(20)


def merged_years(app: Application) -> dict[int, int]:
    """Return the number of rows by the year of the event, after a merge of everything."""
    app.server.command(f"OPTIMIZE TABLE {app.table} FINAL")
    found = app.server.query(
        f"SELECT toYear(event_time) AS year, count() AS n FROM {app.table} GROUP BY year"
    )
    return {row["year"]: int(row["n"]) for row in found}


def make_earlier(server: LoopbackClickHouse, table: str) -> None:
    """Give *table* the retention and the constraint of release 0.1.0."""
    server.command(f"ALTER TABLE {table} MODIFY TTL event_date + INTERVAL 2 YEAR")
    server.command(
        f"ALTER TABLE {table} DROP CONSTRAINT time_is_sane, ADD CONSTRAINT time_is_sane "
        "CHECK event_time >= toDateTime64('2020-01-01 00:00:00', 6, 'UTC')"
    )


def test_events_of_the_past_stay_in_a_new_table(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    app = make_application(faults)
    audit_past(app)
    assert app.handler.flush()
    years = merged_years(app)

    assert {1971: 20, 2012: 20, int(EXPIRED[:4]): 20} == {
        year: years[year] for year in (1971, 2012, int(EXPIRED[:4]))
    }
    judge(PAST, "1971, 2012, 3 years ago: a new table", faults, app.table, app.acknowledged)


def test_events_of_the_past_stay_in_a_table_of_the_first_release_after_init(
    faults: LoopbackClickHouse,
    database: str,
    make_application: MakeApplication,
    lines: Lines,
    judge: Judge,
) -> None:
    run("init", "--dsn", faults.dsn(database))
    table = f"{database}.audit_logs"
    make_earlier(faults, table)
    app = make_application(faults, create_table=False, flush_interval_ms=60_000)
    audit_past(app)
    app.handler.flush()
    before = merged_years(app)
    planned = run("init", "--dsn", faults.dsn(database), "--dry-run").stdout
    changed = run("init", "--dsn", faults.dsn(database)).stdout

    # Before: the constraint refuses 40 rows, which are reported and kept; the TTL drops 20 more.
    assert [20] == list(before.values())
    assert 1 == len(lines.matching("rejects 40 of 80 rows: code 469"))
    assert 1 == len(lines.matching("drops events of the past soon after they are stored"))
    assert f"ALTER TABLE {table} DROP CONSTRAINT time_is_sane" in planned
    assert f"ALTER TABLE {table} MODIFY TTL greatest(event_date, toDate(ingested_at))" in planned
    assert "rejects events from before 2020: replaced" in changed
    assert "counts from the event alone, so it drops past events at once" in changed

    # After: all that is acknowledged from now on stays, and so does what is replayed.
    lost = set(range(40, 60))
    spool = app.handler.settings.spool_dir
    replayed = run("replay", "--dsn", faults.dsn(database), "--spool-dir", spool)
    assert 0 == replayed.exit_code, replayed.output
    audit_past(app)
    app.handler.flush()  # False: it reports the 40 rows that were rejected before
    years = merged_years(app)

    assert (40, 40, 20) == (years[1971], years[2012], years[int(EXPIRED[:4])])
    judge(
        PAST,
        "1971, 2012, 3 years ago: a table of 0.1.0 after init",
        faults,
        app.table,
        set(app.acknowledged) - lost,
        reported=lost,
    )
