"""The figures of ``report``: one bar per hour, day, week or month."""

from __future__ import annotations

import json

import pytest

from tests.support.commands import run
from tests.support.loopback import LoopbackClickHouse

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


@pytest.mark.parametrize(
    ("days", "size", "bars"), [(50, 10, (49, 51)), (300, 10, (43, 44)), (700, 7, (23, 25))]
)
def test_a_long_time_is_drawn_by_the_week_or_month(
    days: int,
    size: int,
    bars: tuple[int, int],
    own_trail_dsn: str,
    faults: LoopbackClickHouse,
    database: str,
) -> None:
    """One bar per day filled 443 lines. Every third day has no events."""
    faults.command(
        f"INSERT INTO {database}.audit_logs (event_time, action) SELECT "
        f"now() - toIntervalDay(number), 'A' FROM numbers({days}) WHERE number % 3 != 1"
    )
    made = json.loads(run("report", "--dsn", own_trail_dsn, "--since", f"{days}d", "--json").stdout)
    activity = made["activity"]

    assert bars[0] <= len(activity) <= bars[1]
    assert {size} == {len(row["time"]) for row in activity}
    assert made["events"] == sum(row["events"] for row in activity)
    assert sorted(row["time"] for row in activity) == [row["time"] for row in activity]


@pytest.mark.parametrize(
    ("period", "size"),
    [
        (["--since", "48h"], len("2026-11-23 04:05")),
        (["--since", "49h"], len("2026-11-23")),
        (["--since", "71h", "--until", "2100-01-01"], len("2026-11-23")),
    ],
)
def test_up_to_48_hours_are_drawn_by_the_hour(period: list[str], size: int, trail_dsn: str) -> None:
    made = json.loads(run("report", "--dsn", trail_dsn, *period, "--json").stdout)

    assert 6 == made["events"]
    assert {size} == {len(row["time"]) for row in made["activity"]}
