"""
The grants of ``sql/access/`` are enough, and no more: the engine limits every user to those of one
role. chDB has no users, so ``tests/clickhouse/test_real_server.py`` tests the roles themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audit_handler import AuditHandler
from audit_handler.clickhouse import ClickHouse
from audit_handler.errors import SetupError
from audit_handler.schema import access_statements, query_names, statements
from audit_handler.target import Target
from tests.support.loopback import LoopbackClickHouse
from tests.support.loopback.cluster import OneServer, write_config
from tests.support.questions import ask, record
from tests.support.questions import rows as asked_rows
from tests.support.tables import rows

pytestmark = pytest.mark.once

ACCESS_DENIED, READONLY = 497, 164
CLUSTERS = {"node": "", "cluster": "{cluster}"}

Restrict = Callable[[str], ClickHouse]


def grants_of(role: str, target: Target) -> list[str]:
    """Return the grants of *role*, without its name."""
    (grant,) = (sql for sql in access_statements(target) if sql.endswith(f"TO audit_{role}_role"))
    statement = re.sub("--.*\n", "", grant).replace(" ON CLUSTER '{cluster}'", "")
    return [statement.removesuffix(f" TO audit_{role}_role")]


def profile_of(target: Target) -> dict[str, str]:
    (profile,) = (sql for sql in access_statements(target) if "SETTINGS PROFILE" in sql)
    return dict(re.findall(r"(\w+) = (\d+)", re.sub("--.*", "", profile)))


@pytest.fixture(params=CLUSTERS)
def target(request: pytest.FixtureRequest) -> Target:
    return Target(scheme="http", host="127.0.0.1", cluster=CLUSTERS[request.param])


@pytest.fixture
def server(tmp_path: Path, target: Target) -> Iterator[LoopbackClickHouse]:
    """A server for this test only, with the tables and nine rows."""
    with LoopbackClickHouse.start(tmp_path / "data", config=write_config(tmp_path)) as server:
        clickhouse = connected(server, target)
        for sql in statements(target):
            OneServer(clickhouse).command(sql)
        clickhouse.insert(asked_rows(*range(1, 10)), token="before")
        clickhouse.close()
        yield server


def connected(server: LoopbackClickHouse, target: Target) -> ClickHouse:
    here = Target(scheme="http", host="127.0.0.1", port=server.port, cluster=target.cluster)
    return ClickHouse(here, create_table=False, async_insert=False)


@pytest.fixture
def restrict(server: LoopbackClickHouse, target: Target, tmp_path: Path) -> Iterator[Restrict]:
    """Limit every user to the grants of a role, and connect."""
    made = []

    def restrict(role: str) -> ClickHouse:
        settings = profile_of(target) if role != "writer" else None
        server.config = write_config(tmp_path, grants_of(role, target), settings)
        server.restart()
        made.append(connected(server, target))
        return made[-1]

    yield restrict
    for clickhouse in made:
        clickhouse.close()


def refused(clickhouse: ClickHouse, sql: str) -> int | None:
    with pytest.raises(SetupError) as caught:
        clickhouse.command(sql)
    return caught.value.code


def test_the_writers_grants_are_enough_for_the_handler(
    server: LoopbackClickHouse,
    restrict: Restrict,
    make_handler: Callable[..., AuditHandler],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also for the look-up before a batch is sent again."""
    writer = restrict("writer")
    server.fault("execute_then_reset")
    handler = make_handler(server.dsn(), create_table=False)
    for number in range(10):
        handler.handle(record(number))

    assert handler.flush(30.0)
    assert 10 == handler.status().rows_stored
    assert {1, 2} == writer.stored("w", 1, 2, asked_rows(1, 2))
    assert "cannot be looked up" not in caplog.text


def test_the_writer_may_do_nothing_else(restrict: Restrict) -> None:
    writer = restrict("writer")

    assert {ACCESS_DENIED} == {
        refused(writer, "SELECT action FROM audit_db.audit_logs"),
        refused(writer, "TRUNCATE TABLE audit_db.audit_logs"),
        refused(writer, "DROP TABLE audit_db.audit_logs"),
        refused(writer, "ALTER TABLE audit_db.audit_logs ADD COLUMN x String"),
    }


@pytest.mark.parametrize("role", ["reader", "auditor"])
def test_every_question_may_be_asked_and_nothing_written(restrict: Restrict, role: str) -> None:
    reader = restrict(role)
    answers = {name: ask(reader, name, Target(scheme="http", host="h")) for name in query_names()}

    assert all(answers.values())
    with pytest.raises(SetupError, match="readonly"):
        reader.insert(rows(1), token="t")
    assert refused(reader, "TRUNCATE TABLE audit_db.audit_logs") in (READONLY, ACCESS_DENIED)
