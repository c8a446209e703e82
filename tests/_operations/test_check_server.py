"""The steps about the server: connection, clock, database."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from audit_handler._operations.check_server import ServerSteps
from audit_handler.target import Target
from tests.support.findings import findings
from tests.support.loopback import LoopbackClickHouse

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


class ClockServer:
    """A server that knows only the time."""

    def __init__(self, now: float) -> None:
        self.now = now

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        assert "now64" in sql
        assert parameters is None
        return [{"now": int(self.now * 1e6)}]

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None: ...


def test_the_connection_names_server_version_and_user(dsn: str) -> None:
    detail = findings(dsn)["connection"].detail

    assert ", ClickHouse 2" in detail
    assert detail.endswith(", as default")


def test_check_of_clocks_that_differ_names_ntp(dsn: str) -> None:
    found = findings(dsn, now=lambda: time.time() - 3600)["clock"]

    assert ("warning", "the server's clock is 3600") == (found.state, found.detail[:26])
    assert "NTP" in found.remedy


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [(10.0, 10.0, "ok"), (8.1, 8.1, "ok"), (7.9, 7.9, "warning"), (0.0, 17.0, "ok")],
    ids=["same", "near", "behind", "slow answer"],
)
def test_the_time_of_the_answer_is_not_counted_as_a_difference_of_clocks(
    before: float, after: float, state: str
) -> None:
    readings = iter([before, after])
    steps = ServerSteps(ClockServer(10.0), Target(scheme="http", host="h"), lambda: next(readings))
    (found,) = steps.clock()

    assert state == found.state


def test_an_embedded_database_has_no_clock_of_its_own(tmp_path: Path) -> None:
    target = Target(scheme="chdb", path=str(tmp_path))

    assert [] == list(ServerSteps(ClockServer(0.0), target, time.time).clock())


@pytest.mark.usefixtures("dsn")
def test_a_missing_database_names_init_and_those_that_are_visible(
    faults: LoopbackClickHouse, database: str
) -> None:
    other = f"not_{database}"
    found = findings(faults.dsn(other), database=other)["database"]

    assert ("failed", True) == (found.state, found.detail.startswith(f"{other} is missing"))
    assert ", " in found.detail.partition("; visible: ")[2]
    assert "audit-handler init" in found.remedy


def test_a_database_is_found_among_more_than_are_shown(
    faults: LoopbackClickHouse, database: str
) -> None:
    """It was reported as missing if its table was missing and 50 other databases came first."""
    others = [f"a{number}_{database}" for number in range(50)]
    for name in (database, *others):
        faults.command(f"CREATE DATABASE {name}")
    found = findings(faults.dsn(database))
    for name in others:
        faults.command(f"DROP DATABASE {name}")

    assert ("ok", "failed") == (found["database"].state, found["table"].state)
    assert f"visible: {database}, a0_" in found["database"].detail
