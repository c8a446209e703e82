"""
Faults of ClickHouse and of the way to it: away, breaking off, overloaded, wrongly set up, refusing
rows, forgetting tokens. Each acknowledged row is stored once in the end.

That a fault happened is read in the server's request log, or in the line that the handler said.
"""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audit_handler._operations.replay import Replayed, replay
from audit_handler.clickhouse import ClickHouse
from audit_handler.errors import TransientError
from audit_handler.schema import statements
from audit_handler.spool import DiskFiles
from tests.faults.staging import Application, Judge, Lines
from tests.support.hostile import HOSTILE_VALUES
from tests.support.loopback import LoopbackClickHouse
from tests.support.verdicts import verdict_on

pytestmark = pytest.mark.once

MakeApplication = Callable[..., Application]

DOWN = "ClickHouse down at start, or for hours"
BROKEN = "connection reset before / during / after the insert"
BUSY = "429, 5xx, overload, read-only, keeper trouble"
SETUP = "unknown table or database, password, grant, column"
BAD_ROW = "a row that ClickHouse cannot take"
BAD_VALUE = "a value that raises, a cycle, NaN, bytes, 10 MB, deep nesting"
TOKENS = "deduplication tokens missing, forgotten or late"
TIME = "clock steps, months, leap days, time zones"
DRIVER = "the driver logs at DEBUG through the same root logger"
TARGET = "the dsn changes while rows wait"


def rejected(app: Application) -> list[int]:
    """Return the numbers of the rows in ``rejected/``."""
    spool = app.handler.settings.spool_dir
    assert spool is not None
    return sorted(
        int(json.loads(line)["resource_id"])
        for path in spool.rglob("rejected/*.ndjson")
        for line in path.read_bytes().splitlines()
    )


# Away


def test_clickhouse_is_down_at_start_and_for_long(
    own_server: LoopbackClickHouse, make_application: MakeApplication, lines: Lines, judge: Judge
) -> None:
    own_server.stop()
    app = make_application(own_server, batch_size=100)
    for _ in range(20):
        app.audit(100)
        assert not app.handler.flush(0.02)  # each flush makes the listener try once more
    assert app.handler.status().retries >= 20
    own_server.restart()
    assert app.handler.flush()
    app.audit(100)
    assert app.handler.flush()

    assert 1 == len(lines.matching("does not accept rows"))
    assert 1 == len(lines.matching("accepts rows again"))
    # 2,000 rows that waited came as full segments, not as one for each of the twenty flushes.
    assert len(app.inserts()) <= 41
    judge(DOWN, "not there at start, then for 20 retries", own_server, app.table, app.acknowledged)


def test_clickhouse_goes_away_between_two_segments(
    own_server: LoopbackClickHouse, make_application: MakeApplication, lines: Lines, judge: Judge
) -> None:
    """The driver holds a connection to a server that has gone; its next insert must not be lost."""
    app = make_application(own_server)
    for outage in range(1, 4):
        app.audit(100)
        assert app.handler.flush()
        own_server.stop()
        app.audit(100)
        lines.wait("does not accept rows", outage)
        own_server.restart()
        app.audit(100)
        assert app.handler.flush()
        lines.wait("accepts rows again", outage)

    judge(DOWN, "stopped and started again", own_server, app.table, app.acknowledged, trials=3)


# Breaking off


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize(
    "kind", ["reset_before", "reset_during", "close_before", "execute_then_reset"]
)
def test_the_connection_breaks(
    faults: LoopbackClickHouse,
    make_application: MakeApplication,
    judge: Judge,
    kind: str,
    times: int,
) -> None:
    app = make_application(faults, batch_size=50)
    faults.fault(kind, match=app.insert, times=times)
    app.audit(120)
    assert app.handler.flush()
    app.audit(120)
    assert app.handler.flush()

    broken = [entry for entry in app.inserts() if entry["fault"] == kind]
    assert times == len(broken)
    assert all(entry["executed"] == (kind == "execute_then_reset") for entry in broken)
    judge(BROKEN, f"{kind}, {times} in a row", faults, app.table, app.acknowledged)


def test_the_connection_breaks_during_the_look_up_too(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    app = make_application(faults)
    faults.fault("execute_then_reset", match=app.insert)
    faults.fault("reset_before", match=app.look_up, times=2)
    faults.fault("http_status", match=app.look_up, status=503)
    app.audit(100)
    assert app.handler.flush()
    app.audit(100)
    assert app.handler.flush()

    looks = [entry["fault"] for entry in faults.requests(app.look_up)]
    assert ["reset_before", "reset_before", "http_status", None] == looks
    judge(BROKEN, "insert executed, look-up broken 3 times", faults, app.table, app.acknowledged)


def test_any_mix_of_broken_connections_in_a_row(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    chance = random.Random(20261123)  # the same mix in every run
    kinds = ["reset_before", "reset_during", "close_before", "execute_then_reset"]
    app = make_application(faults, batch_size=20)
    armed = [chance.choice(kinds) for _ in range(60)]
    for kind in armed:
        faults.fault(kind, match=app.insert, skip=chance.randrange(2))
        app.audit(chance.randrange(1, 50))
    assert app.handler.flush(60.0)
    faults.clear_faults()
    app.audit(100)
    assert app.handler.flush()

    met = [entry["fault"] for entry in app.inserts() if entry["fault"]]
    assert len(met) >= 20
    assert set(kinds) == set(met)
    judge(BROKEN, "a random mix", faults, app.table, app.acknowledged, trials=len(met))


# Late


def test_an_insert_that_runs_after_its_client_gave_up_and_looked(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    """
    The first attempt hangs in the server, the look-up finds nothing, the second attempt is stored;
    then the first one runs. Only the token can tell that it must not be stored again.
    """
    app = make_application(faults, client_options={"send_receive_timeout": 1})
    app.audit(1)
    assert app.handler.flush()
    faults.fault("hang", match=app.insert, execute=True)
    app.audit(100)
    assert app.handler.flush()
    before = faults.query(f"SELECT count() AS n FROM {app.table}")
    faults.release()
    faults.wait_for_request(app.insert, count=3)
    app.audit(100)
    assert app.handler.flush()

    assert [{"n": 101}] == before
    first, again = app.inserts()[1:3]
    assert app.tokens()[1] == app.tokens()[2]
    assert ("hang", True) == (first["fault"], first["executed"])
    assert (None, True) == (again["fault"], again["executed"])
    assert 1 == len(faults.requests(app.look_up))
    judge(TOKENS, "an attempt runs late", faults, app.table, app.acknowledged)


def test_two_late_attempts_run_at_the_same_moment_as_the_third(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    app = make_application(faults, client_options={"send_receive_timeout": 1})
    app.audit(1)
    assert app.handler.flush()
    faults.fault("hang", match=app.insert, execute=True, times=2)
    faults.fault("execute_then_hang", match=app.insert)
    app.audit(100)
    faults.wait_for_request(app.insert, count=4, phase="received")
    faults.release()
    assert app.handler.flush()
    faults.wait_for_request(app.insert, count=4)
    app.audit(100)
    assert app.handler.flush()

    assert ["hang", "hang", "execute_then_hang"] == [e["fault"] for e in app.inserts()[1:4]]
    assert 1 == len(set(app.tokens()[1:4]))
    assert all(entry["executed"] for entry in app.inserts())
    judge(TOKENS, "three attempts run at once", faults, app.table, app.acknowledged)


def test_the_answer_hangs_after_the_insert_was_executed(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    # Only `flush` seals a segment, so a slow machine makes no insert more.
    app = make_application(
        faults, client_options={"send_receive_timeout": 1}, flush_interval_ms=60_000
    )
    app.audit(1)
    assert app.handler.flush()
    faults.fault("execute_then_hang", match=app.insert)
    app.audit(100)
    assert app.handler.flush()
    faults.release()
    app.audit(100)
    assert app.handler.flush()

    # Found stored by the look-up, so it was not even sent again.
    assert [None, "execute_then_hang", None] == [entry["fault"] for entry in app.inserts()]
    judge(BROKEN, "the answer never comes", faults, app.table, app.acknowledged)


# Overloaded


@pytest.mark.parametrize("is_stored", [False, True], ids=["refused", "stored"])
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_proxy_answers_instead(
    faults: LoopbackClickHouse,
    make_application: MakeApplication,
    lines: Lines,
    judge: Judge,
    status: int,
    is_stored: bool,
) -> None:
    app = make_application(faults)
    times = 1 if is_stored else 3
    faults.fault("http_status", match=app.insert, status=status, times=times, execute=is_stored)
    app.audit(100)
    assert app.handler.flush()
    app.audit(100)
    assert app.handler.flush()

    met = [entry for entry in app.inserts() if entry["fault"] == "http_status"]
    assert [(status, is_stored)] * times == [(entry["status"], entry["executed"]) for entry in met]
    assert lines.matching(f"does not accept rows.*{status}")
    outcome = "stored all the same" if is_stored else "refused"
    judge(BUSY, f"HTTP {status}, {outcome}", faults, app.table, app.acknowledged)


OVERLOADS = {
    159: "TIMEOUT_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",
    319: "UNKNOWN_STATUS_OF_INSERT",
    999: "KEEPER_EXCEPTION",
    12345: "NEVER_HEARD_OF",
}


@pytest.mark.parametrize("is_stored", [False, True], ids=["refused", "stored"])
@pytest.mark.parametrize("code", OVERLOADS)
def test_clickhouse_is_overloaded(
    faults: LoopbackClickHouse,
    make_application: MakeApplication,
    lines: Lines,
    judge: Judge,
    code: int,
    is_stored: bool,
) -> None:
    """``319`` is the case where the server itself does not know; the others may know it wrongly."""
    app = make_application(faults)
    times = 1 if is_stored else 2
    faults.fault(
        "error", match=app.insert, code=code, name=OVERLOADS[code], times=times, execute=is_stored
    )
    app.audit(100)
    assert app.handler.flush()
    app.audit(100)
    assert app.handler.flush()

    met = [entry for entry in app.inserts() if entry["fault"] == "error"]
    assert [is_stored] * times == [entry["executed"] for entry in met]
    assert 1 == len(lines.matching(f"does not accept rows: code {code} .{OVERLOADS[code]}"))
    outcome = "stored all the same" if is_stored else "refused"
    judge(BUSY, f"code {code}, {outcome}", faults, app.table, app.acknowledged)


def test_clickhouse_really_has_too_many_parts(
    faults: LoopbackClickHouse, make_application: MakeApplication, lines: Lines, judge: Judge
) -> None:
    """The engine's own refusal, not one of ours."""
    app = make_application(faults)
    app.audit(10)
    assert app.handler.flush()
    faults.command(f"SYSTEM STOP MERGES {app.table}")
    faults.command(
        f"ALTER TABLE {app.table} MODIFY SETTING "
        "parts_to_delay_insert = 1, parts_to_throw_insert = 1"
    )
    app.audit(100)
    lines.wait("does not accept rows: code 252")
    faults.command(
        f"ALTER TABLE {app.table} RESET SETTING parts_to_delay_insert, parts_to_throw_insert"
    )
    assert app.handler.flush()
    app.audit(100)
    assert app.handler.flush()

    judge(BUSY, "the engine's own TOO_MANY_PARTS", faults, app.table, app.acknowledged)


# Wrongly set up


@contextmanager
def table_away(server: LoopbackClickHouse, app: Application) -> Iterator[None]:
    server.command(f"RENAME TABLE {app.table} TO {app.database}.elsewhere")
    yield
    server.command(f"RENAME TABLE {app.database}.elsewhere TO {app.table}")


@contextmanager
def database_away(server: LoopbackClickHouse, app: Application) -> Iterator[None]:
    server.command(f"RENAME DATABASE {app.database} TO {app.database}_elsewhere")
    yield
    server.command(f"RENAME DATABASE {app.database}_elsewhere TO {app.database}")


@contextmanager
def insert_not_granted(server: LoopbackClickHouse, app: Application) -> Iterator[None]:
    server.deny(app.insert)
    yield
    server.deny()


@contextmanager
def column_missing(server: LoopbackClickHouse, app: Application) -> Iterator[None]:
    server.command(f"ALTER TABLE {app.table} DROP COLUMN message")
    yield
    server.command(f"ALTER TABLE {app.table} ADD COLUMN message String")


@contextmanager
def user_read_only(server: LoopbackClickHouse, app: Application) -> Iterator[None]:
    server.fault("error", match=app.insert, code=164, name="READONLY", times=-1)
    yield
    server.clear_faults()


@contextmanager
def table_refuses_everything(server: LoopbackClickHouse, app: Application) -> Iterator[None]:
    server.command(f"ALTER TABLE {app.table} ADD CONSTRAINT none CHECK 0")
    yield
    server.command(f"ALTER TABLE {app.table} DROP CONSTRAINT none")


SETUPS = {
    "unknown table": (table_away, "create the table with: audit-handler init"),
    "unknown database": (database_away, "create the (database and )?table with: audit-handler"),
    "missing grant": (insert_not_granted, "grant INSERT on the table"),
    "missing column": (column_missing, "message"),
    "read-only user": (user_read_only, "use one that may insert"),
    "a table that takes no row": (table_refuses_everything, "compare its columns"),
}


@pytest.mark.parametrize("when", ["running", "starting"])
@pytest.mark.parametrize("fault", SETUPS)
def test_the_set_up_is_wrong_until_somebody_mends_it(
    faults: LoopbackClickHouse,
    make_application: MakeApplication,
    lines: Lines,
    judge: Judge,
    fault: str,
    when: str,
) -> None:
    break_it, remedy = SETUPS[fault]
    first = make_application(faults)
    first.audit(1)
    assert first.handler.close()
    first.log.handlers.clear()
    # Full segments: fewer than twenty refused rows do not tell that the table is at fault.
    app = make_application(faults, create_table=False, batch_size=100, flush_interval_ms=60_000)
    app.acknowledged = first.acknowledged
    if when == "running":
        app.audit(1)
        assert app.handler.flush()
    with break_it(faults, app):
        app.audit(100)
        lines.wait("rejects inserts")
        for _ in range(5):
            assert not app.handler.flush(0.02)
    assert app.handler.flush()
    app.audit(100)
    assert app.handler.flush()

    (said,) = lines.matching("rejects inserts", logging.ERROR)
    assert lines.matching(remedy) == [said]
    assert app.handler.status().retries >= 1
    judge(SETUP, f"{fault}, {when}", faults, app.table, app.acknowledged)


def test_a_wrong_password_until_it_is_right(
    tmp_path: Path,
    database: str,
    make_application: MakeApplication,
    lines: Lines,
    judge: Judge,
) -> None:
    path = tmp_path / "clickhouse"
    with LoopbackClickHouse.start(path, user="app", password="another") as server:
        app = make_application(server, dsn=server.dsn(database, password="hunter2"))
        app.audit(100)
        lines.wait("rejects inserts.*check user and password")
        for _ in range(5):
            assert not app.handler.flush(0.02)
        server.set_password("hunter2")
        assert app.handler.flush()
        server.set_password("changed while running")
        app.audit(100)
        lines.wait("rejects inserts.*check user and password", 2)
        server.set_password("hunter2")
        assert app.handler.flush()
        app.audit(100)
        assert app.handler.flush()

        assert 2 == len(lines.matching("rejects inserts", logging.ERROR))
        assert [] == lines.matching("hunter2|another|changed while running")
        judge(SETUP, "wrong password", server, app.table, app.acknowledged, trials=2)


# Rows that cannot be taken


BAD_ROWS = {
    "one in the middle": [5_000],
    "the first and the last": [0, 9_999],
    "three neighbours": [700, 701, 702],
    "more than are pulled out one by one": list(range(37, 10_000, 800)),
}


@pytest.mark.parametrize("which", BAD_ROWS)
def test_a_row_that_clickhouse_cannot_take_costs_its_neighbours_nothing(
    faults: LoopbackClickHouse,
    make_application: MakeApplication,
    lines: Lines,
    judge: Judge,
    which: str,
) -> None:
    bad = BAD_ROWS[which]
    app = make_application(faults, batch_size=10_000, flush_interval_ms=60_000)
    faults.command(f"CREATE DATABASE {app.database}")
    faults.command(_ddl_with_constraint(app, bad))
    app.audit(10_000)
    assert not app.handler.flush()  # delivered, but not all of it is stored
    app.audit(100)
    app.handler.flush()

    assert bad == rejected(app)
    assert (0, len(bad)) == (app.handler.status().rows_waiting, app.handler.status().rows_rejected)
    assert 1 == len(lines.matching(f"rejects {len(bad)} of 10000 rows"))
    reasons = [
        reason
        for path in Path(app.handler.settings.spool_dir or "").rglob("rejected/*.error.json")
        for reason in json.loads(path.read_text())["rows"]
    ]
    assert [469] * len(bad) == [reason["code"] for reason in reasons]
    judge(BAD_ROW, which, faults, app.table, app.acknowledged, reported=bad)


def _ddl_with_constraint(app: Application, bad: list[int]) -> str:
    ddl = statements(app.handler.settings.target)[1]
    refused = ", ".join(f"'{number}'" for number in bad)
    return ddl.replace(
        "CONSTRAINT date_matches_time",
        f"CONSTRAINT no_bad_rows CHECK resource_id NOT IN ({refused}),\n"
        "CONSTRAINT date_matches_time",
    )


def test_bad_rows_and_broken_connections_together(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    """Every insert of a part meets a fault of its own, so every part is retried under its token."""
    bad = [10, 500, 501, 990]
    app = make_application(faults, batch_size=1_000, flush_interval_ms=60_000)
    faults.command(f"CREATE DATABASE {app.database}")
    faults.command(_ddl_with_constraint(app, bad))
    kinds = ["execute_then_reset", "reset_during"]
    for number in range(40):
        faults.fault(kinds[number % 2], match=app.insert, skip=number % 3)
    app.audit(1_000)
    app.handler.flush(60.0)
    met = {entry["fault"] for entry in app.inserts()}
    faults.clear_faults()
    app.audit(100)
    app.handler.flush()

    assert set(kinds) <= met
    assert bad == rejected(app)
    judge(
        BAD_ROW,
        "and each part's connection breaks",
        faults,
        app.table,
        app.acknowledged,
        reported=bad,
    )


def test_rows_that_were_refused_are_replayed_while_connections_break(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    bad = list(range(3, 100, 8))
    app = make_application(faults, batch_size=100)
    faults.command(f"CREATE DATABASE {app.database}")
    faults.command(_ddl_with_constraint(app, bad))
    app.audit(100)
    assert not app.handler.flush()
    target = app.handler.settings.target
    assert app.handler.settings.spool_dir is not None
    directory = app.handler.settings.spool_dir / target.directory_name
    faults.command(f"ALTER TABLE {app.table} DROP CONSTRAINT no_bad_rows")
    faults.fault("execute_then_reset", match=app.insert, skip=2)
    outcomes: list[Replayed | None] = []
    for _ in range(3):
        clickhouse = ClickHouse(target, create_table=False, async_insert=False)
        try:
            outcomes.append(replay(DiskFiles(), directory, clickhouse))
        except TransientError:
            outcomes.append(None)
        finally:
            clickhouse.close()
    app.audit(100)
    app.handler.flush()

    assert [None, (len(bad) - 3, 1), (0, 0)] == [
        (found.stored, found.known) if found is not None else None for found in outcomes
    ]
    assert [] == rejected(app)
    judge(BAD_ROW, "replayed, and a replay breaks off", faults, app.table, app.acknowledged)


def test_values_that_nobody_expects(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    """
    In a column of each type, and each insert's acknowledgement is lost. ``test_handler`` has every
    value in every column.
    """
    app = make_application(faults, batch_size=5)
    app.audit(1)
    assert app.handler.flush()
    faults.fault("execute_then_reset", match=app.insert, times=5)
    columns = ["agent_id", "status_code", "ip_address", "event_time", "new_value", "an_extra"]
    for value in HOSTILE_VALUES.values():
        app.audit(1, **dict.fromkeys(columns, value))
    assert app.handler.flush(60.0)
    app.audit(100)
    assert app.handler.flush()

    assert 5 == len([entry for entry in app.inserts() if entry["fault"]])
    fault = f"{len(HOSTILE_VALUES)} of them, in each type of column"
    judge(BAD_VALUE, fault, faults, app.table, app.acknowledged, trials=len(HOSTILE_VALUES))


# Tokens


@pytest.mark.parametrize("window", [0, 10_000])
def test_look_up_alone_keeps_rows_from_being_doubled(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge, window: int
) -> None:
    app = make_application(faults, batch_size=50)
    app.audit(1)
    assert app.handler.flush()
    faults.command(
        f"ALTER TABLE {app.table} MODIFY SETTING non_replicated_deduplication_window = {window}"
    )
    for number in range(12):
        if number % 2:
            faults.fault("execute_then_reset", match=app.insert)
        else:
            faults.fault("http_status", match=app.insert, status=500, execute=True)
        app.audit(50)
        assert app.handler.flush()
    app.audit(100)
    assert app.handler.flush()

    ambiguous = [entry for entry in app.inserts() if entry["fault"]]
    assert 12 == len(ambiguous) == len(faults.requests(app.look_up))
    fault = "no deduplication window" if window == 0 else "ambiguous, with a window"
    judge(TOKENS, fault, faults, app.table, app.acknowledged, trials=12)


def test_a_writer_without_select_has_the_token_and_is_told_once(
    faults: LoopbackClickHouse, make_application: MakeApplication, lines: Lines, judge: Judge
) -> None:
    app = make_application(faults, batch_size=50)
    app.audit(1)
    assert app.handler.flush()
    faults.deny(app.look_up)
    try:
        for _ in range(4):
            faults.fault("execute_then_reset", match=app.insert)
            app.audit(50)
            assert app.handler.flush()
    finally:
        faults.deny()
    faults.fault("execute_then_reset", match=app.insert)
    app.audit(100)
    assert app.handler.flush()

    # Asked each time: from the grant on the rows are looked up, without a restart.
    assert 5 == len(faults.requests(app.look_up))
    assert 5 == len([entry for entry in app.inserts() if entry["fault"]])
    assert 1 == len(lines.matching("SELECT"))
    judge(TOKENS, "no SELECT, the token alone", faults, app.table, app.acknowledged, trials=5)


@pytest.mark.parametrize("may_look", [True, False], ids=["look-up", "control"])
def test_an_old_ambiguous_segment_whose_token_is_forgotten(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge, may_look: bool
) -> None:
    """
    It was stored, and before anybody can look it up, two more inserts use the window of two up.

    The control shows that the fault is real: without the look-up the rows are doubled.
    """
    app = make_application(faults)
    app.audit(1)
    assert app.handler.flush()
    faults.command(
        f"ALTER TABLE {app.table} MODIFY SETTING non_replicated_deduplication_window = 2"
    )
    faults.fault("execute_then_reset", match=app.insert)
    faults.fault("http_status", match=app.look_up, status=503, times=-1)
    app.audit(100)
    faults.wait_for_request(app.look_up, count=2)
    for number in range(4):
        faults.command(
            f"INSERT INTO {app.table} (event_time, agent_id, writer_id, seq) "
            f"SETTINGS insert_deduplication_token = 'other-{number}' "
            f"VALUES (now64(6), 'other', 'other', {number + 1})"
        )
    if not may_look:
        faults.deny(app.look_up)
    faults.clear_faults()
    try:
        assert app.handler.flush()
    finally:
        faults.deny()
    app.audit(100)
    assert app.handler.flush()

    if may_look:
        judge(TOKENS, "token forgotten", faults, app.table, app.acknowledged)
    else:
        assert 0 < verdict_on(faults, app.table, app.acknowledged).doubled


def test_a_materialized_view_that_throws_after_the_rows_are_stored(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    app = make_application(faults)
    app.audit(1)
    assert app.handler.flush()
    faults.command(
        f"CREATE MATERIALIZED VIEW {app.database}.broken ENGINE = MergeTree ORDER BY x "
        f"AS SELECT throwIf(resource_id = '50', 'no fifty') AS x FROM {app.table}"
    )
    app.audit(100)
    assert app.handler.flush()
    thrown = [entry for entry in app.inserts() if entry["status"] != 200]
    faults.command(f"DROP TABLE {app.database}.broken")
    app.audit(100)
    assert app.handler.flush()

    assert 1 == len(thrown)
    assert 0 == app.handler.status().rows_rejected
    judge(BAD_ROW, "a view throws after they are stored", faults, app.table, app.acknowledged)


# Time


def test_rows_around_the_end_of_a_month_with_each_insert_ambiguous(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    # Only `flush` seals a segment, so a slow machine makes no insert more.
    app = make_application(faults, flush_interval_ms=60_000)
    app.audit(1)
    assert app.handler.flush()
    moments = [
        "2026-09-30 23:59:59.999999",
        "2026-10-01 00:00:00.000000",
        "2025-12-31 23:59:59.999999",
        "2026-01-01 00:00:00.000000",
    ]
    faults.fault("execute_then_reset", match=app.insert, times=-1)
    for moment in moments:
        app.audit(25, event_time=moment)
    assert app.handler.flush()
    for number in range(20):  # back and forth: the month changes with every row
        app.audit(1, event_time=moments[number % 2])
    assert app.handler.flush()

    stored = faults.query(
        "SELECT toString(event_time) AS t, toString(event_date) AS d, toYYYYMM(event_date) AS m, "
        f"count() AS n FROM {app.table} WHERE event_time < '2026-10-02' GROUP BY ALL ORDER BY t"
    )
    assert [
        (moments[2], "2025-12-31", 202512, 25),
        (moments[3], "2026-01-01", 202601, 25),
        (moments[0], "2026-09-30", 202609, 35),
        (moments[1], "2026-10-01", 202610, 35),
    ] == [(row["t"], row["d"], row["m"], row["n"]) for row in stored]
    assert 2 == len([entry for entry in app.inserts() if entry["fault"]])
    judge(TIME, "a month ends", faults, app.table, app.acknowledged)


def test_leap_days_are_days(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    app = make_application(faults)
    app.audit(1)
    assert app.handler.flush()
    # The table's retention of two years would take a row of 2024 at once.
    faults.command(f"ALTER TABLE {app.table} REMOVE TTL")
    faults.fault("execute_then_reset", match=app.insert, times=2)
    for moment in ("2024-02-28 23:59:59.500000", "2024-02-29 12:00:00", "2024-03-01 00:00:00"):
        app.audit(10, event_time=moment)
    app.audit(10, event_time="2023-02-29 12:00:00")  # no such day
    assert app.handler.flush()

    stored = faults.query(
        f"SELECT toString(event_date) AS d, count() AS n FROM {app.table} "
        "WHERE event_date < '2025-01-01' GROUP BY d ORDER BY d"
    )
    assert [("2024-02-28", 10), ("2024-02-29", 10), ("2024-03-01", 10)] == [
        (row["d"], row["n"]) for row in stored
    ]
    judge(TIME, "leap day", faults, app.table, app.acknowledged)


def test_the_clock_steps_back_while_rows_are_logged(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    """Also back over the end of a month; ``seq`` keeps the order of the calls."""
    app = make_application(faults, batch_size=30)
    step = 0.0

    def set_clock(record: logging.LogRecord) -> bool:
        record.created -= step
        return True

    app.handler.addFilter(set_clock)
    faults.fault("execute_then_reset", match=app.insert, times=3)
    for step in (0.0, 3_600.0, 40 * 86_400.0, 0.0):  # noqa: B007  # read by the filter
        app.audit(50)
    assert app.handler.flush()

    order = faults.query(
        f"SELECT groupArray(toUInt32(resource_id)) AS n, uniqExact(event_id) AS ids "
        f"FROM (SELECT * FROM {app.table} ORDER BY seq)"
    )
    assert [{"n": list(range(200)), "ids": 200}] == order
    judge(TIME, "the clock steps back an hour and a month", faults, app.table, app.acknowledged)


# Ourselves


def test_everything_logs_at_debug_through_the_root_logger_while_connections_break(
    faults: LoopbackClickHouse, make_application: MakeApplication, lines: Lines, judge: Judge
) -> None:
    """The driver, urllib3 and we ourselves log from the listener's thread while it delivers."""
    app = make_application(faults, capture="all", batch_size=20)
    root, level = logging.getLogger(), logging.getLogger().level
    app.log.propagate = True
    app.log.removeHandler(app.handler)
    root.addHandler(app.handler)
    root.setLevel(logging.DEBUG)
    for kind in ("reset_before", "execute_then_reset", "reset_during"):
        faults.fault(kind, match=app.insert, times=2, skip=1)
    try:
        writers = [threading.Thread(target=_chat, args=(number,)) for number in range(3)]
        for writer in writers:
            writer.start()
        app.audit(500)
        for writer in writers:
            writer.join()
        assert app.handler.flush(60.0)
        app.audit(100)
        assert app.handler.flush()
    finally:
        root.removeHandler(app.handler)
        root.setLevel(level)

    loggers = faults.query(
        f"SELECT logger, count() AS n FROM {app.table} WHERE logger LIKE 'faults.%' "
        "GROUP BY logger ORDER BY n"
    )
    strangers = faults.query(
        f"SELECT message FROM {app.table} "
        "WHERE match(logger, '^(audit_handler|clickhouse|urllib3)')"
    )
    assert [] == strangers
    assert [("faults.chat", 300), (app.log.name, 600)] == [(r["logger"], r["n"]) for r in loggers]
    assert len([entry for entry in app.inserts() if entry["fault"]]) >= 3
    assert lines.matching("does not accept rows")
    judge(DRIVER, "capture='all' on the root logger", faults, app.table, app.acknowledged)


def _chat(number: int) -> None:
    for _ in range(100):
        logging.getLogger("faults.chat").debug("thread %d says something", number)


def test_rows_wait_for_the_old_dsn_and_are_reported_by_the_new_one(
    faults: LoopbackClickHouse,
    database: str,
    make_application: MakeApplication,
    lines: Lines,
    judge: Judge,
    tmp_path: Path,
) -> None:
    old = make_application(faults, dsn="http://127.0.0.1:1/" + database)
    old.audit(100)
    lines.wait("does not accept rows")
    pipeline = old.handler._pipelines.open
    assert pipeline is not None
    old.handler.close(0.0)
    pipeline.listener.stop()
    old.log.handlers.clear()
    new = make_application(faults, create_table=True)
    new.audit(100)
    assert new.handler.flush()
    there = faults.query(f"SELECT count() AS n FROM {new.table}")
    waiting = [path for path in (tmp_path / "spool").rglob("*.*") if path.is_file()]

    (said,) = lines.matching("no process serves")
    assert old.handler.settings.target.directory_name in said
    assert [{"n": 100}] == there
    assert 100 == sum(path.read_bytes().count(b"\n") for path in waiting)
    judge(TARGET, "100 rows stay, reported", faults, new.table, new.acknowledged)
