"""Tables for the commands: an empty one per test, and a filled one for all tests."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from audit_handler import AuditHandler
from tests.support.commands import audit, run
from tests.support.loopback import LoopbackClickHouse

_numbers = itertools.count(1)

# The last event failed and holds a change.
_EVENTS: Sequence[Mapping[str, Any]] = (
    *(
        {"agent_id": f"u-{number % 2}", "resource_type": "order", "resource_id": f"o-{number}"}
        for number in range(5)
    ),
    {
        "agent_id": "u-9",
        "action": "DELETE",
        "outcome": "failure",
        "request_id": "r-9",
        "ip_address": "192.0.2.7",
        "status_code": 409,
        "old_value": {"total": 12, "name": "Assam"},
        "new_value": {"total": 13, "name": "Assam"},
        "error_message": "<b>no\x1b[31m stock</b>",
    },
)


@pytest.fixture
def dsn(faults: LoopbackClickHouse, database: str) -> str:
    """A database for this test only on the loopback server, with an empty table."""
    dsn = faults.dsn(database)
    assert run("init", "--dsn", dsn).exit_code == 0
    return dsn


@pytest.fixture(scope="session")
def make_trail(
    loopback: LoopbackClickHouse, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., str]:
    """
    Make a database with a table of *events* and *more*; return its dsn.

    By default, *events* are the six of `trail_dsn`.
    """

    def make(
        *more: Mapping[str, Any],
        events: Sequence[Mapping[str, Any]] = _EVENTS,
        database: str | None = None,
    ) -> str:
        dsn = loopback.dsn(database or f"trail_{os.getpid()}_{next(_numbers)}")
        spool = tmp_path_factory.mktemp("spool")
        handler = AuditHandler(dsn, spool_dir=spool, create_table=True, flush_interval_ms=10)
        for event in (*events, *more):
            audit(handler, **event)
        assert handler.flush(30.0)
        handler.close()
        return dsn

    return make


@pytest.fixture(scope="session")
def trail_dsn(make_trail: Callable[..., str]) -> str:
    """A table with six events, for tests that only read."""
    return make_trail()


@pytest.fixture
def own_trail_dsn(make_trail: Callable[..., str], database: str) -> str:
    """The same six events in a table for this test only, for tests that write."""
    return make_trail(database=database)


@pytest.fixture
def refused(
    dsn: str, faults: LoopbackClickHouse, database: str, make_handler: Callable[..., AuditHandler]
) -> str:
    """A table with a constraint that rejected two of four rows; its dsn."""
    faults.command(
        f"ALTER TABLE {database}.audit_logs ADD CONSTRAINT known CHECK agent_id != 'stranger'"
    )
    handler = make_handler(dsn, flush_interval_ms=60_000)
    for number in range(4):
        audit(handler, agent_id="stranger" if number % 2 else "u-1", resource_id=str(number))
    assert not handler.flush(30.0)
    handler.close()
    return dsn


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackClickHouse]:
    """A server with a user."""
    path = tmp_path_factory.mktemp("guarded")
    with LoopbackClickHouse.start(path, user="writer", password="p4ss:w/rd") as server:
        assert run("init", "--dsn", server.dsn()).exit_code == 0
        yield server
