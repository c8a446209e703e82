"""
Refusals: views that throw, rows that the table rejects in front of good ones, columns of the user
that reject values. Each acknowledged row is stored once, or rejected once.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.faults.staging import Application, Judge, Lines
from tests.support.loopback import LoopbackClickHouse

pytestmark = pytest.mark.once

MakeApplication = Callable[..., Application]

VIEW = "a materialized view or one shard fails after the rows are stored"
REFUSED = "the table refuses every row of a segment, and takes those behind it"
COLUMN = "a column that the user added refuses values"
MANY = "a row that ClickHouse cannot take"

# Of the user, for a row with an empty body: a value that ClickHouse cannot read, or zero.
EXPRESSIONS = {
    "a MATERIALIZED column, code 32": "ADD COLUMN x UInt64 MATERIALIZED toUInt64(request_body)",
    "a DEFAULT, code 32": "ADD COLUMN x UInt64 DEFAULT toUInt64(request_body)",
    "an index, code 32": "ADD INDEX x toUInt64(request_body) TYPE minmax",
    "a MATERIALIZED column, code 36": (
        "ADD COLUMN x Float64 MATERIALIZED parseTimeDelta(if(request_body = '', 'x', '1s'))"
    ),
    "a DEFAULT, code 62": (
        "ADD COLUMN x String DEFAULT formatQuery(if(request_body = '', '', 'SELECT 1'))"
    ),
    "an index, code 621": (
        "ADD INDEX x normalizeUTF8NFKC(if(request_body = '', char(195), 'x')) TYPE set(0)"
    ),
    "a CHECK, code 427": (
        "ADD CONSTRAINT x CHECK NOT match('abc', if(request_body = '', '(', 'x'))"
    ),
    "a CHECK, code 454": (
        "ADD CONSTRAINT x CHECK length(decrypt('aes-128-ecb', if(request_body = '', 'z', ''), "
        "'keykeykeykeykey1')) >= 0"
    ),
    "a CHECK, code 153": "ADD CONSTRAINT x CHECK intDiv(1, length(request_body)) >= 0",
}

VIEWS = {
    6: "toUInt32(if(resource_id = '50', 'o-17', resource_id))",
    41: "parseDateTimeBestEffort(if(resource_id = '50', 'soon', '2026-01-01 00:00:00'))",
    153: "intDiv(1, if(resource_id = '50', 0, 1))",
    349: "CAST(if(resource_id = '50', NULL, resource_id) AS String)",
    691: "CAST(if(resource_id = '50', 'c', 'a') AS Enum8('a' = 1, 'b' = 2))",
}


def rejected(app: Application) -> list[int]:
    """Return the numbers of the rows in ``rejected/``."""
    spool = app.handler.settings.spool_dir
    assert spool is not None
    return sorted(
        int(json.loads(line)["resource_id"])
        for path in spool.rglob("rejected/*.ndjson")
        for line in path.read_bytes().splitlines()
    )


@pytest.mark.parametrize("window", [0, 10_000])
@pytest.mark.parametrize("may_look", [True, False], ids=["look-up", "no look-up"])
@pytest.mark.parametrize("code", VIEWS)
def test_views_throw(
    faults: LoopbackClickHouse,
    make_application: MakeApplication,
    lines: Lines,
    judge: Judge,
    code: int,
    may_look: bool,
    window: int,
) -> None:
    app = make_application(faults)
    app.audit(1)
    assert app.handler.flush()
    faults.command(
        f"ALTER TABLE {app.table} MODIFY SETTING non_replicated_deduplication_window = {window}"
    )
    for name, column in (("good", "resource_id"), ("broken", VIEWS[code]), ("other", "seq")):
        faults.command(
            f"CREATE MATERIALIZED VIEW {app.database}.{name} ENGINE = MergeTree ORDER BY tuple() "
            f"AS SELECT {column} AS x FROM {app.table}"
        )
    if not may_look:
        faults.deny(app.look_up)
    try:
        app.audit(100)
        assert app.handler.flush()
        app.audit(100)
        assert app.handler.flush()
    finally:
        faults.deny()

    assert 1 == len(lines.matching(rf"code {code} .*view {app.database}.broken\): rows are in"))
    assert (0, 201) == (
        app.handler.status().rows_rejected,
        app.handler.status().rows_stored,
    )
    how = "looked up" if may_look else "no look-up"
    judge(VIEW, f"code {code}, {how}, window {window}", faults, app.table, app.acknowledged)


def test_a_view_of_a_table_that_keeps_no_rows_throws(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    """The rows would be nowhere: only the view writes them to a table."""
    app = make_application(faults)
    app.audit(1)
    assert app.handler.flush()
    kept, landing = f"{app.database}.kept", app.table
    faults.command(f"RENAME TABLE {app.table} TO {kept}")
    faults.command(f"CREATE TABLE {landing} AS {kept} ENGINE = Null")
    moved = f"{app.database}.moved"
    view = f"CREATE MATERIALIZED VIEW {moved} TO {kept} AS SELECT * {{}} FROM {landing}"
    refusing = "REPLACE (toString(throwIf(agent_id = 'stranger')) AS agent_id)"
    faults.command(view.format(refusing))
    app.audit(10)
    app.audit(1, agent_id="stranger")
    app.audit(10)
    assert not app.handler.flush(3.0)
    assert "does not keep the rows" in app.handler.status().last_error
    # In one step: between a DROP and a CREATE, the rows would be nowhere.
    faults.command(f"ALTER TABLE {moved} MODIFY QUERY SELECT * FROM {landing}")

    assert app.handler.flush()
    judge(VIEW, "the table keeps no rows", faults, kept, app.acknowledged)


@pytest.mark.parametrize("may_look", [True, False], ids=["look-up", "no look-up"])
def test_a_shard_that_dies_again_and_again_rejects_no_row(
    faults: LoopbackClickHouse,
    make_application: MakeApplication,
    judge: Judge,
    may_look: bool,
) -> None:
    """The code and the text are those of a real shard that is killed in the middle of an insert."""
    app = make_application(faults)
    app.audit(1)
    assert app.handler.flush()
    text = (
        "Attempt to read after eof: while receiving packet from 127.0.0.1:24545, local address: "
        "127.0.0.1:55654: Insertion status:\nWrote {} blocks and {} rows on shard 1 replica 0"
    )
    for blocks in (0, 1, 0):
        faults.fault("error", code=32, text=text.format(blocks, blocks), execute=bool(blocks))
    if not may_look:
        faults.deny(app.look_up)
    try:
        app.audit(1)
        assert app.handler.flush()
    finally:
        faults.deny()

    assert [] == rejected(app)
    how = "looked up" if may_look else "no look-up"
    judge(VIEW, f"a shard dies three times, {how}", faults, app.table, app.acknowledged)


@pytest.mark.parametrize("may_look", [True, False], ids=["look-up", "no look-up"])
def test_a_value_names_a_view_that_no_one_has(
    faults: LoopbackClickHouse,
    make_application: MakeApplication,
    judge: Judge,
    may_look: bool,
) -> None:
    """ClickHouse quotes the value in its error; rows were lost, or never delivered."""
    app = make_application(faults)
    app.audit(1)
    assert app.handler.flush()
    faults.command(f"ALTER TABLE {app.table} ADD COLUMN grade Enum8('a' = 1)")
    if not may_look:
        faults.deny(app.look_up)
    try:
        app.audit(50, grade="a")
        app.audit(1, grade=": while pushing to view x.y (z)")
        app.audit(50, grade="a")
        assert app.handler.flush()
    finally:
        faults.deny()

    assert 102 == app.handler.status().rows_stored
    how = "looked up" if may_look else "no look-up"
    judge(COLUMN, f"its value names a view, {how}", faults, app.table, app.acknowledged)


@pytest.mark.parametrize("is_broken", [False, True])
def test_twenty_addresses_that_the_column_cannot_hold_are_in_front_of_good_rows(
    faults: LoopbackClickHouse,
    make_application: MakeApplication,
    judge: Judge,
    is_broken: bool,
) -> None:
    app = make_application(faults, batch_size=20, flush_interval_ms=60_000)
    app.audit(1, ip_address="10.0.0.1")
    assert app.handler.flush()
    faults.command(f"ALTER TABLE {app.table} DROP INDEX ix_ip_address")
    faults.command(f"ALTER TABLE {app.table} MODIFY COLUMN ip_address IPv4 DEFAULT '0.0.0.0'")
    if is_broken:
        for number in range(6):
            kind = ("execute_then_reset", "reset_during")[number % 2]
            faults.fault(kind, match=app.insert, skip=3 * number)
    bad = list(range(1, 21))
    app.audit(20, ip_address="2001:db8::1")
    app.audit(2_000, ip_address="10.0.0.1")
    app.handler.flush(60.0)
    app.handler.flush(60.0)

    assert bad == rejected(app)
    assert (0, 2_001) == (
        app.handler.status().rows_waiting,
        app.handler.status().rows_stored,
    )
    fault = "20 rows, connections break" if is_broken else "20 rows in front of 2,000"
    judge(REFUSED, fault, faults, app.table, app.acknowledged, reported=bad)


def test_a_table_that_takes_no_row_of_two_segments_keeps_all_until_it_is_fixed(
    faults: LoopbackClickHouse, make_application: MakeApplication, lines: Lines, judge: Judge
) -> None:
    app = make_application(faults, batch_size=50, flush_interval_ms=60_000)
    app.audit(1)
    assert app.handler.flush()
    faults.command(f"ALTER TABLE {app.table} ADD CONSTRAINT none CHECK resource_id = 'x'")
    app.audit(150)
    lines.wait("accepts none of 20 rows")
    for _ in range(3):
        assert not app.handler.flush(0.1)
    faults.command(f"ALTER TABLE {app.table} DROP CONSTRAINT none")
    assert app.handler.flush(60.0)

    assert [] == rejected(app)
    judge(REFUSED, "every segment, until it is fixed", faults, app.table, app.acknowledged)


@pytest.mark.parametrize("may_look", [True, False], ids=["look-up", "no look-up"])
@pytest.mark.parametrize("where", EXPRESSIONS)
def test_an_expression_of_the_table_fails_on_one_row(
    faults: LoopbackClickHouse,
    make_application: MakeApplication,
    judge: Judge,
    where: str,
    may_look: bool,
) -> None:
    """These codes may also mean that a shard died, or that ClickHouse has a bug."""
    app = make_application(faults)
    app.audit(1, request_body="1")
    assert app.handler.flush()
    faults.command(f"ALTER TABLE {app.table} {EXPRESSIONS[where]}")
    if not may_look:
        faults.deny(app.look_up)
    try:
        app.audit(20, request_body="1")
        app.audit(1, request_body="")
        app.audit(20, request_body="1")
        app.handler.flush(10.0)
    finally:
        faults.deny()

    assert [21] == rejected(app)
    assert 0 == app.handler.status().rows_waiting
    how = "looked up" if may_look else "no look-up"
    judge(MANY, f"{where}, {how}", faults, app.table, app.acknowledged, reported=[21])


@pytest.mark.parametrize("reason", ["IPv4", "CHECK"])
def test_many_bad_rows_cost_one_insert_each(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge, reason: str
) -> None:
    app = make_application(faults, batch_size=3_000, flush_interval_ms=60_000)
    app.audit(1, ip_address="10.0.0.1")
    assert app.handler.flush()
    if reason == "CHECK":
        faults.command(
            f"ALTER TABLE {app.table} ADD CONSTRAINT no_v6 CHECK ip_address != '2001:db8::1'"
        )
    else:
        faults.command(f"ALTER TABLE {app.table} DROP INDEX ix_ip_address")
        faults.command(f"ALTER TABLE {app.table} MODIFY COLUMN ip_address IPv4 DEFAULT '0.0.0.0'")
    faults.forget_requests()
    for number in range(1, 3_000):
        app.audit(1, ip_address="2001:db8::1" if number % 16 == 0 else "10.0.0.1")
    bad = list(range(16, 3_000, 16))
    app.handler.flush(60.0)
    app.handler.flush(60.0)

    assert bad == rejected(app)
    assert len(app.inserts()) < len(bad) + 20
    judge(MANY, f"one of 16, {reason}", faults, app.table, app.acknowledged, reported=bad)


def test_a_column_of_the_user_that_rejects_values_is_left_out(
    faults: LoopbackClickHouse, make_application: MakeApplication, lines: Lines, judge: Judge
) -> None:
    first = make_application(faults)
    first.audit(1)
    assert first.handler.close()
    first.log.handlers.clear()
    faults.command(f"ALTER TABLE {first.table} ADD COLUMN due Date, ADD COLUMN small UInt8")
    app = make_application(faults, batch_size=500, flush_interval_ms=60_000)
    app.acknowledged = first.acknowledged
    faults.forget_requests()
    app.audit(500, due="soon", small=7)
    app.audit(1, small=300)
    assert app.handler.flush()

    assert 1 == len(lines.matching("columns due, which you added"))
    assert {"due": 500, "small": 1} == app.handler.status().skipped_columns
    assert len(app.inserts()) < 15
    assert [{"s": 3_500, "m": 1}] == faults.query(
        f"SELECT sum(small) AS s, countIf(metadata LIKE '%\"small\":300%') AS m FROM {app.table}"
    )
    judge(COLUMN, "500 values that are no day", faults, app.table, app.acknowledged)
