"""Each query of sql/queries/ finds the rows that it asks for, and no others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from audit_handler.clickhouse import ClickHouse
from audit_handler.schema import query, statements
from audit_handler.target import Target
from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import target_of

pytestmark = pytest.mark.once

DAY = {"since": "2026-11-20 00:00:00", "until": "2026-11-21 00:00:00", "limit": 100}


class Trail:
    """A table to fill and to query."""

    def __init__(self, clickhouse: ClickHouse, target: Target) -> None:
        self._clickhouse = clickhouse
        self._target = target
        self._numbers: dict[str, int] = {}
        self._inserts = 0

    def put(self, time: str, *, writer: str = "w", seq: int = 0, **columns: Any) -> None:
        """Put a row; *time* is one of 2026-11-20, or a day and a time."""
        self._numbers[writer] = seq or self._numbers.get(writer, 0) + 1
        self._inserts += 1
        row = {
            "writer_id": writer,
            "seq": self._numbers[writer],
            "event_time": time if " " in time else f"2026-11-20 {time}",
            "event_id": f"00000000-0000-7000-8000-{self._inserts:012d}",
            "action": "READ",
            **columns,
        }
        self._clickhouse.insert(json.dumps(row).encode(), token=f"t{self._inserts}")

    def ask(self, name: str, **arguments: Any) -> list[dict[str, Any]]:
        sql = query(name, self._target)
        given = {**DAY, **arguments}
        return self._clickhouse.query(sql, {k: v for k, v in given.items() if f"{{{k}:" in sql})

    def ids(self, name: str, **arguments: Any) -> list[int]:
        """Return the numbers of the found rows; `put` counts them up."""
        return [row["event_id"].int & 0xFFFF for row in self.ask(name, **arguments)]


@pytest.fixture
def trail(faults: LoopbackClickHouse, database: str) -> Iterator[Trail]:
    target = target_of(faults.dsn(database), database)
    clickhouse = ClickHouse(target, create_table=False, async_insert=False)
    for sql in statements(target, retention="50 YEAR"):  # the days of the tests are fixed
        clickhouse.command(sql)
    yield Trail(clickhouse, target)
    clickhouse.close()


def test_by_user_is_newest_first_and_of_the_range_only(trail: Trail) -> None:
    trail.put("2026-11-19 23:59:59.999999", agent_id="ada")
    trail.put("00:00:00", agent_id="ada")
    trail.put("12:00:00", agent_id="bob")
    trail.put("23:59:59.999999", agent_id="ada")
    trail.put("2026-11-21 00:00:00", agent_id="ada")

    assert [4, 2] == trail.ids("by_user", agent_id="ada")
    assert [4] == trail.ids("by_user", agent_id="ada", limit=1)


def test_a_user_with_a_quote_in_the_name_is_a_value_and_no_sql(trail: Trail) -> None:
    trail.put("10:00:00", agent_id="o'hara\\ OR 1")
    trail.put("10:00:00", agent_id="ada")

    assert [1] == trail.ids("by_user", agent_id="o'hara\\ OR 1")


def test_by_resource_needs_kind_and_id(trail: Trail) -> None:
    trail.put("10:00:00", resource_type="order", resource_id="1", old_value="a", new_value="b")
    trail.put("10:00:00", resource_type="user", resource_id="1")
    trail.put("10:00:00", resource_type="order", resource_id="2")
    (found,) = trail.ask("by_resource", resource_type="order", resource_id="1")

    assert ("a", "b") == (found["old_value"], found["new_value"])


def test_by_request_finds_requests_and_traces_once_in_their_order(trail: Trail) -> None:
    trail.put("10:00:02", request_id="r", trace_id="other")
    trail.put("10:00:01", request_id="r", trace_id="r")
    trail.put("10:00:03", request_id="other", trace_id="r")
    trail.put("10:00:04", request_id="other", trace_id="other")
    trail.put("10:00:05")

    assert [2, 1, 3] == trail.ids("by_request", request_id="r")
    assert [] == trail.ids("by_request", request_id="")


def test_failed_operations_are_those_with_the_outcome_failure(trail: Trail) -> None:
    for outcome in ("failure", "success", "unknown", "failure"):
        trail.put("10:00:00", outcome=outcome, status_code=500)

    assert [1, 4] == sorted(trail.ids("failed_operations"))


def test_activity_is_counted_by_day_and_action(trail: Trail) -> None:
    for action, outcome in (("A", "failure"), ("A", "success"), ("B", "unknown")):
        trail.put("10:00:00", action=action, outcome=outcome)
    trail.put("2026-11-21 10:00:00", action="A")
    trail.put("2026-11-22 10:00:00", action="A")

    assert [
        ("2026-11-20", "A", 2, 1),
        ("2026-11-20", "B", 1, 0),
        ("2026-11-21", "A", 1, 0),
    ] == [
        (str(row["event_date"]), row["action"], row["events"], row["failures"])
        for row in trail.ask("activity_by_day")
    ]


def test_top_users_come_with_their_failures(trail: Trail) -> None:
    for agent, outcome in (("ada", "success"), ("bob", "failure"), ("bob", "success")):
        trail.put("10:00:00", agent_id=agent, outcome=outcome)

    assert [("bob", 2, 1), ("ada", 1, 0)] == [
        (row["agent_id"], row["events"], row["failures"]) for row in trail.ask("top_users")
    ]


def test_slow_requests_are_slowest_first(trail: Trail) -> None:
    for milliseconds in (99, 100, 5_000, 700):
        trail.put("10:00:00", response_time_ms=milliseconds)

    assert [5_000, 700, 100] == [
        row["response_time_ms"] for row in trail.ask("slow_requests", threshold_ms=100)
    ]


def test_who_read_what_counts_reads_and_refusals(trail: Trail) -> None:
    for action, kind, outcome in (
        ("READ", "file", "success"),
        ("EXPORT", "file", "failure"),
        ("UPDATE", "file", "success"),
        ("READ", "order", "success"),
    ):
        trail.put(
            "10:00:00", agent_id="ada", action=action, resource_type=kind, outcome=outcome,
            resource_id="1", ip_address="10.0.0.1",
        )  # fmt: skip
    (found,) = trail.ask("who_read_what", actions=["READ", "EXPORT"], resource_type="file")

    assert ("ada", "1", 2, 1, 1) == tuple(
        found[name] for name in ("agent_id", "resource_id", "reads", "refused", "addresses")
    )


def test_logins_outside_hours_are_those_of_nights_and_weekends_there(trail: Trail) -> None:
    """Kolkata is five and a half hours ahead; 2026-11-20 is a Friday."""
    for time in ("02:29:59", "02:30:00", "12:29:59", "12:30:00", "2026-11-21 06:00:00"):
        trail.put(time, action="LOGIN")
    trail.put("23:00:00", action="LOGOUT")
    found = trail.ids(
        "logins_outside_hours",
        until="2026-11-22 00:00:00", actions=["LOGIN"], timezone="Asia/Kolkata", opens=8, closes=18,
    )  # fmt: skip

    assert [5, 4, 1] == found


# Completeness


def completeness(trail: Trail, **arguments: Any) -> list[tuple[Any, ...]]:
    names = ("writer_id", "rows", "first_seq", "last_seq", "missing", "repeated", "before_first")
    return [tuple(row[n] for n in names) for row in trail.ask("completeness", **arguments)]


def test_a_gap_and_a_repeat_are_found_and_come_first(trail: Trail) -> None:
    for seq in (1, 2, 3):
        trail.put("10:00:00", writer="whole", seq=seq)
    for seq in (1, 2, 2, 5):
        trail.put("10:00:00", writer="broken", seq=seq)

    assert [("broken", 4, 1, 5, 2, 1, 0), ("whole", 3, 1, 3, 0, 0, 0)] == completeness(trail)


def test_rows_before_the_range_are_not_missing(trail: Trail) -> None:
    for day in (10, 11, 20, 20, 28):
        trail.put(f"2026-11-{day} 10:00:00")

    assert [("w", 2, 3, 4, 0, 0, 2)] == completeness(trail)


def test_a_row_just_across_the_border_is_not_missing(trail: Trail) -> None:
    """Two threads of one process log at midnight, and the later number has the earlier time."""
    for seq, time in enumerate(["10:00:00", "2026-11-21 00:00:00.000001", "23:59:59.999999"]):
        trail.put(time, seq=seq + 1)

    assert [("w", 3, 1, 3, 0, 0, 0)] == completeness(trail)


def test_a_range_may_begin_with_the_first_day_of_all(trail: Trail) -> None:
    """The day before it was one of the year 2149."""
    trail.put("10:00:00", seq=1)
    trail.put("10:00:00", seq=3)

    assert [("w", 2, 1, 3, 1, 0, 0)] == completeness(trail, since="1970-01-01 00:00:00")


def test_rows_without_a_number_and_copied_rows_are_no_writers(trail: Trail) -> None:
    trail.put("10:00:00", writer="", seq=7)
    trail.put("10:00:00", writer="before_upgrade/202611", seq=7)

    assert [] == completeness(trail)
