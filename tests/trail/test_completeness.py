"""``verify-completeness``: missing rows, repeated rows, and how much of the table is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from audit_handler import AuditHandler
from audit_handler.clickhouse import ClickHouse
from audit_handler.config import Settings
from audit_handler.target import Target
from audit_handler.trail import Completeness, Period, Trail
from tests.support.commands import audit, run
from tests.support.loopback import LoopbackClickHouse

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]

NOW = datetime.now(timezone.utc)
TODAY = Period(since=NOW - timedelta(hours=12), until=NOW + timedelta(days=1))


@pytest.fixture
def dsn(
    faults: LoopbackClickHouse, database: str, make_handler: Callable[..., AuditHandler]
) -> str:
    """A table with six audits; its dsn."""
    dsn = faults.dsn(database)
    run("init", "--dsn", dsn)
    handler = make_handler(dsn)
    for _ in range(6):
        audit(handler)
    assert handler.flush(30.0)
    handler.close()
    return dsn


# How much is read


class ExplainingClient:
    """Notes the share of the table's granules that each statement reads."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self.shares: list[float] = []

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        plan = self._clickhouse.query(f"EXPLAIN indexes = 1 {sql}", parameters)
        granules = re.findall(r"Granules: (\d+)/(\d+)", "\n".join(row["explain"] for row in plan))
        wholes = max((int(whole) for _, whole in granules), default=1)
        self.shares.append(int(granules[-1][0]) / wholes if granules else 1.0)
        return self._clickhouse.query(sql, parameters)


@pytest.fixture
def client(faults: LoopbackClickHouse, database: str) -> Iterator[ExplainingClient]:
    """A year of a table: two writers that write once a day, one that wrote once a fortnight."""
    dsn = faults.dsn(database)
    run("init", "--dsn", dsn)
    faults.command(
        f"INSERT INTO {database}.audit_logs (event_time, writer_id, seq) "
        "SELECT now64(6) - toIntervalDay(364 - number), writer, number + 1 FROM numbers(365) "
        "ARRAY JOIN ['a', 'b'] AS writer "
        "UNION ALL SELECT now64(6) - toIntervalDay(14 * (9 - number)), 'c', number + 1 "
        "FROM numbers(10)"
    )
    clickhouse = ClickHouse(target(dsn), create_table=False, async_insert=False)
    yield ExplainingClient(clickhouse)
    clickhouse.close()


def target(dsn: str) -> Target:
    return Settings.resolve({"dsn": dsn}, {}).target


def verdicts(client: ExplainingClient, dsn: str, period: Period) -> dict[str, Completeness]:
    return {each.writer_id: each for each in Trail(client, target(dsn)).completeness(period)}


def test_a_complete_trail_is_verified_from_a_few_days_of_it(
    client: ExplainingClient, faults: LoopbackClickHouse, database: str
) -> None:
    """It read every row of each writer that had written before the period."""
    found = verdicts(client, faults.dsn(database), TODAY)

    assert {"a": True, "b": True, "c": True} == {k: v.is_complete for k, v in found.items()}
    assert max(client.shares) < 0.2, client.shares


def test_a_gap_is_found_after_a_row_of_any_age(
    client: ExplainingClient, faults: LoopbackClickHouse, database: str
) -> None:
    faults.command(
        f"ALTER TABLE {database}.audit_logs DELETE WHERE writer_id = 'c' AND seq BETWEEN 2 AND 9 "
        "SETTINGS mutations_sync = 1"
    )
    found = verdicts(client, faults.dsn(database), TODAY)

    assert {"a": (), "b": (), "c": ((2, 9),)} == {k: v.gaps for k, v in found.items()}


def test_a_row_whose_time_lies_elsewhere_is_not_missing(
    client: ExplainingClient, faults: LoopbackClickHouse, database: str
) -> None:
    """An extra may set any time: number 5 says that it happened a year ago."""
    faults.command(
        f"INSERT INTO {database}.audit_logs (event_time, writer_id, seq) SELECT "
        "now64(6) - toIntervalDay(if(number = 4, 300, 0)), 'd', number + 1 FROM numbers(9)"
    )

    assert verdicts(client, faults.dsn(database), TODAY)["d"].is_complete
