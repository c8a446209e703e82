"""From the layout of 2025 to today's: every row arrives, despite interruptions and writers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from audit_handler import AuditHandler
from audit_handler.clickhouse import ClickHouse
from audit_handler.errors import DeliveryError, SetupError, TransientError
from audit_handler.schema import changes, script, statements
from audit_handler.schema.upgrade import Month, upgrade
from audit_handler.target import Target
from tests.support.loopback import LoopbackClickHouse, LoopbackError
from tests.support.older import create_older_table, fill_older_table
from tests.support.tables import rows, target_of

pytestmark = pytest.mark.once

MakeHandler = Callable[..., AuditHandler]

SAME = (
    "agent_id, agent_name, agent_role, agent_email, action, resource_type, resource_id, "
    "resource_name, endpoint, http_method, status_code, response_time_ms, request_body, "
    "response_body, request_headers, response_headers, old_value, new_value, user_agent, "
    "session_id, request_id, error_message, metadata, "
    "toString(event_time, 'UTC') AS time, toIPv6(toString(ip_address)) AS address"
)


@pytest.fixture
def target(faults: LoopbackClickHouse, database: str) -> Target:
    return target_of(faults.dsn(), database)


@pytest.fixture
def clickhouse(target: Target) -> Iterator[ClickHouse]:
    clickhouse = ClickHouse(target, create_table=False, async_insert=False)
    yield clickhouse
    clickhouse.close()


@pytest.fixture
def older(faults: LoopbackClickHouse, database: str) -> str:
    """An older table with 3,000 rows of about four months; its name."""
    create_older_table(faults, database)
    fill_older_table(faults, database, 3_000)
    return f"{database}.audit_logs"


def missing(server: LoopbackClickHouse, table: str) -> list[dict[str, Any]]:
    """Return the rows that are only in the older or only in the new table."""
    older, new = f"FROM {table}_before_upgrade", f"FROM {table}"
    times = SAME.replace(
        "toString(event_time, 'UTC')", "toString(toDateTime64(event_time, 6), 'UTC')"
    )
    return server.query(
        f"SELECT * FROM ((SELECT {times} {older} EXCEPT ALL SELECT {SAME} {new}) UNION ALL "
        f"(SELECT {SAME} {new} EXCEPT ALL SELECT {times} {older})) LIMIT 3"
    )


def misnumbered(server: LoopbackClickHouse, table: str) -> list[dict[str, Any]]:
    """Return the months with copies that are not numbered 1, 2, 3, ..."""
    return server.query(
        "SELECT writer_id, count() AS n, uniqExact(seq) AS seqs, min(seq) AS first, "
        "max(seq) AS last "
        f"FROM {table} WHERE startsWith(writer_id, 'before_upgrade/') GROUP BY writer_id "
        "HAVING n != seqs OR first != 1 OR last != n"
    )


def test_every_row_is_in_the_new_table_as_it_was(
    faults: LoopbackClickHouse, clickhouse: ClickHouse, target: Target, older: str
) -> None:
    seen: list[tuple[Month, int]] = []
    done = upgrade(clickhouse, target, on_month=lambda month, left: seen.append((month, left)))

    assert [] == missing(faults, older)
    assert [] == misnumbered(faults, older)
    assert [] == changes(clickhouse, target)
    assert done.was_set_aside
    assert 3_000 == sum(month.copied for month in done.months)
    assert list(done.months) == [month for month, _ in seen]
    assert list(reversed(range(len(seen)))) == [left for _, left in seen]


def test_columns_that_the_older_table_lacks_are_filled(
    faults: LoopbackClickHouse, clickhouse: ClickHouse, target: Target, older: str
) -> None:
    upgrade(clickhouse, target)

    assert [
        {"n": 3_000, "ids": 3_000, "in_time": 3_000, "failures": 1_020, "successes": 1_980}
    ] == faults.query(
        "SELECT count() AS n, uniqExact(event_id) AS ids, "
        "countIf(UUIDv7ToDateTime(event_id) = event_time) AS in_time, "
        "countIf(outcome = 'failure' AND (status_code = 404 OR error_message != '')) AS failures, "
        f"countIf(outcome = 'success') AS successes FROM {older}"
    )


@pytest.mark.usefixtures("older")
def test_a_second_upgrade_changes_nothing(
    faults: LoopbackClickHouse, clickhouse: ClickHouse, target: Target
) -> None:
    first = upgrade(clickhouse, target)
    faults.forget_requests()
    second = upgrade(clickhouse, target)

    assert (False, 0, first.months) == (second.was_set_aside, second.copied_months, second.months)
    assert [] == faults.requests(match=r"^\s*(--.*\n)*\s*(INSERT|ALTER|RENAME|DROP)")


def test_a_table_of_today_is_left_as_it_is(clickhouse: ClickHouse, target: Target) -> None:
    for sql in statements(target):
        clickhouse.command(sql)
    done = upgrade(clickhouse, target)

    assert (False, (), 0) == (done.was_set_aside, done.months, done.copied_months)


@pytest.mark.parametrize("kind", ["reset_before", "execute_then_reset"])
def test_an_upgrade_continues_after_every_interruption(
    faults: LoopbackClickHouse,
    clickhouse: ClickHouse,
    target: Target,
    older: str,
    kind: str,
) -> None:
    """Each run gets one statement further than the one before it."""
    interruptions = 0
    while True:
        # "." matches every statement; the driver may send one that got no answer twice.
        faults.fault(kind, match=".", skip=interruptions, times=-1)
        try:
            done = upgrade(clickhouse, target)
        except DeliveryError:
            interruptions += 1
        else:
            break
        finally:
            faults.clear_faults()

    assert interruptions > 15
    assert 3_000 == sum(month.copied for month in done.months)
    assert [] == missing(faults, older)
    assert [] == misnumbered(faults, older)


def test_a_month_that_was_copied_by_half_is_removed_and_copied_again(
    faults: LoopbackClickHouse, clickhouse: ClickHouse, target: Target, older: str
) -> None:
    """As after a kill -9 of the server in the middle of an INSERT SELECT of many blocks."""
    clickhouse.command(script("upgrade/node/1_set_aside.sql", target))
    for sql in statements(target):
        clickhouse.command(sql)
    months = clickhouse.query(script("upgrade/months.sql", target))
    half = script("upgrade/copy_month.sql", target).replace(
        "\n)\nSETTINGS", "\nLIMIT 100)\nSETTINGS"
    )
    clickhouse.command(half, {"month": months[-1]["month"]})
    clickhouse.insert(rows(1, event_time="2026-11-20 00:00:00"), token="t")
    done = upgrade(clickhouse, target)

    assert len(months) == done.copied_months
    assert [] == misnumbered(faults, older)
    assert [{"n": 3_001, "ids": 3_001}] == faults.query(
        f"SELECT count() AS n, uniqExact(resource_id) AS ids FROM {older}"
    )


def test_a_row_that_reaches_the_older_table_late_is_copied_too(
    faults: LoopbackClickHouse, clickhouse: ClickHouse, target: Target, older: str
) -> None:
    """An insert ran in the server when the table was renamed."""

    def arrive_late(_month: Month, left: int) -> None:
        if left == 0 and not late:
            late.append("row")
            faults.command(f"INSERT INTO {older}_before_upgrade (resource_id) VALUES ('late')")

    late: list[str] = []
    upgrade(clickhouse, target, on_month=arrive_late)

    assert [] == missing(faults, older)
    assert [] == misnumbered(faults, older)


def test_an_older_table_that_is_still_written_to_is_an_error(
    faults: LoopbackClickHouse, clickhouse: ClickHouse, target: Target, older: str
) -> None:
    late = f"INSERT INTO {older}_before_upgrade (resource_id) VALUES ('late')"
    with pytest.raises(TransientError, match="still writes to the older one"):
        upgrade(clickhouse, target, on_month=lambda _month, _left: faults.command(late))


def test_rows_too_old_to_keep_and_of_no_time_are_left_behind_and_counted(
    faults: LoopbackClickHouse, clickhouse: ClickHouse, target: Target, older: str
) -> None:
    faults.command(f"ALTER TABLE {older} REMOVE TTL")
    faults.command(
        f"INSERT INTO {older} (event_time) "
        "SELECT now() - INTERVAL 3 YEAR UNION ALL SELECT toDateTime64(0, 3)"
    )
    done = upgrade(clickhouse, target)

    assert 3_000 == sum(month.copied for month in done.months)
    assert [1, 1] == [month.left_behind for month in done.months if not month.rows]


def test_a_longer_retention_keeps_older_rows(
    faults: LoopbackClickHouse, clickhouse: ClickHouse, target: Target, older: str
) -> None:
    faults.command(f"ALTER TABLE {older} REMOVE TTL")
    faults.command(f"INSERT INTO {older} (event_time) SELECT now() - INTERVAL 3 YEAR")
    done = upgrade(clickhouse, target, retention="5 YEAR")

    assert 3_001 == sum(month.copied for month in done.months)
    assert 0 == upgrade(clickhouse, target).copied_months


# What cannot be upgraded


def test_a_missing_table_is_named_with_the_command(clickhouse: ClickHouse, target: Target) -> None:
    with pytest.raises(SetupError, match="does not exist; run: audit-handler init"):
        upgrade(clickhouse, target)


def test_a_table_that_holds_no_rows_itself_is_rejected(
    faults: LoopbackClickHouse, clickhouse: ClickHouse, target: Target
) -> None:
    """On one node, the layout of 2025 had a Merge table in front."""
    name = target.database
    create_older_table(faults, name, "audit_logs_local")
    faults.command(
        f"CREATE TABLE {name}.audit_logs AS {name}.audit_logs_local "
        f"ENGINE = Merge({name}, '^audit_logs_local$')"
    )
    with pytest.raises(SetupError, match="upgrade the table under it"):
        upgrade(clickhouse, target)
    (change,) = changes(clickhouse, target)

    assert change.sql is None
    assert "is a Merge table" in change.what


def test_the_table_of_an_earlier_upgrade_is_not_overwritten(
    faults: LoopbackClickHouse, clickhouse: ClickHouse, target: Target, older: str
) -> None:
    create_older_table(faults, target.database, "audit_logs_before_upgrade")
    with pytest.raises(SetupError, match="rename that table, which an earlier upgrade left"):
        upgrade(clickhouse, target)

    assert [{"n": 3_000}] == faults.query(f"SELECT count() AS n FROM {older}")


def test_the_older_table_comes_back_when_the_new_one_cannot_be_created(
    faults: LoopbackClickHouse, clickhouse: ClickHouse, target: Target, older: str
) -> None:
    faults.fault("error", match="CREATE TABLE", code=497, text="no grant")
    with pytest.raises(SetupError):
        upgrade(clickhouse, target)

    assert [{"n": 3_000}] == faults.query(f"SELECT count() AS n FROM {older}")


def test_a_second_copy_does_not_start_while_one_runs(
    faults: LoopbackClickHouse, clickhouse: ClickHouse, target: Target, older: str
) -> None:
    """The server continues a statement after its client was killed."""
    clickhouse.command(script("upgrade/node/1_set_aside.sql", target))
    endless = (
        "INSERT INTO FUNCTION null('x UInt64') SELECT number FROM numbers(1000000000000) "
        f"WHERE number >= (SELECT count() FROM {older}_before_upgrade)"
    )
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(pytest.raises, LoopbackError, faults.command, endless)
        while not clickhouse.query(script("upgrade/running.sql", target))[0]["copies"]:
            assert not running.done()
        try:
            with pytest.raises(TransientError, match="a month is being copied already"):
                upgrade(clickhouse, target)
        finally:
            faults.command("KILL QUERY WHERE query LIKE 'INSERT INTO FUNCTION null%' SYNC")
            running.result()

    assert 3_000 == sum(month.copied for month in upgrade(clickhouse, target).months)


# A handler that writes meanwhile


def test_nothing_is_lost_while_a_handler_writes(
    faults: LoopbackClickHouse,
    clickhouse: ClickHouse,
    target: Target,
    older: str,
    make_handler: MakeHandler,
) -> None:
    log = logging.getLogger(target.database)
    handler = make_handler(
        faults.dsn(target.database), logger=log.name, create_table=False, batch_size=20
    )
    stop = threading.Event()
    logged = [0]

    def write() -> None:
        while not stop.is_set():
            log.info("x", extra={"action": "WRITE", "resource_id": f"new-{logged[0]}"})
            logged[0] += 1
            if logged[0] % 100 == 0:
                handler.flush(30.0)

    writer = threading.Thread(target=write)
    writer.start()
    faults.wait_for_request(count=3)
    done = upgrade(clickhouse, target)
    faults.wait_for_request(count=len(faults.requests(match=r"^\s*INSERT")) + 3)
    stop.set()
    writer.join()
    assert handler.flush(30.0)
    again = upgrade(clickhouse, target)

    assert again.copied_months == 0
    assert [{"n": logged[0], "ids": logged[0], "old": True, "new": True}] == faults.query(
        "SELECT count() AS n, uniqExact(resource_id) AS ids, "
        "countIf(writer_id LIKE 'before_upgrade/%') > 0 AS old, "
        "countIf(writer_id NOT LIKE 'before_upgrade/%' AND seq > 0) > 0 AS new "
        f"FROM {older} WHERE action = 'WRITE'"
    )
    assert sum(month.copied for month in done.months) > 3_000
