"""Applications to break, servers to kill, and the verdicts that ``make faults`` prints."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit_handler import AuditHandler
from tests.faults.counting import Counting
from tests.faults.staging import Application, Judge, Lines
from tests.support.engines import Engine
from tests.support.listening.shards import Shards
from tests.support.loopback import LoopbackClickHouse
from tests.support.programs import World
from tests.support.verdicts import Verdict, report, verdict_on


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What the package logs."""
    handler = Lines()
    logger = logging.getLogger("audit_handler")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
def make_application(
    make_handler: Callable[..., AuditHandler], database: str, request: pytest.FixtureRequest
) -> Callable[..., Application]:
    """Make applications of this process: ``make_application(server, **options of the handler)``."""

    def make(server: LoopbackClickHouse, *, dsn: str | None = None, **options: Any) -> Application:
        log = logging.getLogger(f"faults.{request.node.name}")
        log.propagate = False
        handler = make_handler(dsn or server.dsn(database), logger=log.name, **options)
        return Application(handler, log, server, database)

    return make


@pytest.fixture
def make_counting(
    make_handler: Callable[..., AuditHandler], log: logging.Logger, lines: Lines
) -> Callable[..., Counting]:
    def make(dsn: str, **options: object) -> Counting:
        handler = make_handler(dsn, batch_size=50, **options)
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        return Counting(handler, log, lines)

    return make


@pytest.fixture
def make_counting_on_shards(make_counting: Callable[..., Counting]) -> Callable[..., Counting]:
    """
    As `make_counting`, for a cluster: ``make_counting_on_shards(shards, database)``.

    A shard that stops answering closes no connection: an insert ends by a short timeout.
    """

    def make(shards: Shards[Any], database: str) -> Counting:
        return make_counting(
            shards.dsn(database),
            cluster="{cluster}",
            create_table=False,
            client_options={"send_receive_timeout": 5},
        )

    return make


@pytest.fixture
def judge_shards(judge: Judge) -> Callable[..., None]:
    """The verdict on the rows of a cluster, which every shard must find whole."""

    def judged(
        row: str,
        fault: str,
        shards: Shards[Any],
        database: str,
        acknowledged: list[int],
        times: int,
    ) -> None:
        on_shards = shards.local_counts(database)
        assert len(acknowledged) == sum(on_shards)
        assert all(on_shards)
        table = f"{database}.audit_logs"
        first, *others = shards.servers
        verdict = judge(row, fault, first, table, acknowledged, trials=times)
        for server in others:
            assert verdict == verdict_on(server, table, acknowledged)

    return judged


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[LoopbackClickHouse]:
    """A server of this test's own, to be killed."""
    with LoopbackClickHouse.start(tmp_path / "clickhouse") as server:
        yield server


@pytest.fixture
def world(tmp_path: Path, database: str, faults: LoopbackClickHouse) -> World:
    """Programs of their own, and the run's loopback server without faults of other tests."""
    return World(tmp_path, faults.dsn(database), database, faults)


@pytest.fixture
def judge() -> Judge:
    """
    The verdict on a test's rows, which must be whole; written to ``$AUDIT_FAULT_REPORT`` too.
    """
    began = time.monotonic()

    def judged(
        row: str,
        fault: str,
        engine: Engine,
        table: str,
        acknowledged: Iterable[int],
        *,
        trials: int = 1,
        surplus: int = 0,
        reported: Iterable[int] = (),
    ) -> Verdict:
        verdict = verdict_on(engine, table, acknowledged, reported)
        seconds = time.monotonic() - began
        report(row, fault, verdict, trials=trials, seconds=seconds)
        assert (0, 0) == (verdict.lost, verdict.doubled), verdict
        assert verdict.unacknowledged <= surplus, verdict
        return verdict

    return judged
