"""Test events go through the real handler, and are counted in the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from audit_handler import AuditHandler
from audit_handler._operations.load import Loaded, load
from tests.support.engines import completeness
from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import Connect

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]

MakeHandler = Callable[..., AuditHandler]


class CountingClient:
    """A table that answers only counts."""

    def __init__(self, *, rows: int, different: int) -> None:
        self.answer = {"rows": rows, "different": different}

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        assert "uniqExact(seq)" in sql
        assert parameters
        return [self.answer]


def test_every_event_arrives_once_and_the_progress_ends_at_all(
    dsn: str, faults: LoopbackClickHouse, database: str, connect: Connect, make_handler: MakeHandler
) -> None:
    progress: list[tuple[int, int]] = []
    found = load(
        make_handler(dsn, create_table=False),
        connect(dsn),
        rows=1_200,
        timeout=60.0,
        on_progress=lambda logged, stored: progress.append((logged, stored)),
    )
    table = f"{database}.audit_logs"

    assert (1_200, 1_200, 0, 0, "") == (
        found.sent,
        found.arrived,
        found.doubled,
        found.dropped,
        found.last_error,
    )
    assert found.is_whole
    assert (1_000, (1_200, 1_200)) == (progress[0][0], progress[-1])
    assert [{"rows": 1_200, "gaps": 0, "repeats": 0}] == completeness(faults, table)
    assert [{"runs": 1, "users": 20}] == faults.query(
        f"SELECT uniqExact(session_id) AS runs, uniqExact(agent_id) AS users FROM {table} "
        f"WHERE session_id = '{found.run}'"
    )


def test_the_counts_of_the_table_decide(dsn: str, make_handler: MakeHandler) -> None:
    found = load(
        make_handler(dsn, create_table=False),
        CountingClient(rows=12, different=9),
        rows=10,
        timeout=60.0,
        on_progress=lambda _logged, _stored: None,
    )

    assert (10, 9, 3, False) == (found.sent, found.arrived, found.doubled, found.is_whole)


def test_a_server_that_is_away_does_not_hold_it_up_beyond_the_timeout(
    make_handler: MakeHandler,
) -> None:
    found = load(
        make_handler("http://127.0.0.1:1", create_table=False),
        CountingClient(rows=0, different=0),
        rows=5,
        timeout=0.0,
        on_progress=lambda _logged, _stored: None,
    )

    assert (5, 0, 0, False) == (found.sent, found.arrived, found.dropped, found.is_whole)


@pytest.mark.parametrize(
    ("arrived", "doubled", "dropped", "is_whole"),
    [(10, 0, 0, True), (9, 0, 0, False), (10, 1, 0, False), (10, 0, 1, False)],
)
def test_whole_means_that_every_event_is_stored_once(
    arrived: int, doubled: int, dropped: int, is_whole: bool
) -> None:
    found = Loaded(
        run="r",
        sent=10,
        arrived=arrived,
        doubled=doubled,
        dropped=dropped,
        batches=1,
        seconds=2.0,
        last_error="",
    )

    assert (is_whole, arrived / 2) == (found.is_whole, found.rows_per_second)
