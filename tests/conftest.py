"""
The ClickHouse servers of the tests: the loopback server over chDB, and a real one.

``AUDIT_TEST_CLICKHOUSE_URL`` names the real one (``http://user:password@127.0.0.1:8123``). Without
it, testcontainers starts one if a Docker engine runs and has or can pull the official image, or has
the one that ``make container`` makes. Else it is chDB's own listener in a
process.

``AUDIT_TEST_COMPARE=1`` compares C with Python for each record that a test encodes: see
`tests.support.native`.

``AUDIT_TEST_ONCE_ON`` (``make test`` sets it) names the one Python, such as ``3.13``, that runs the
tests marked *once*: those of ClickHouse, SQL, files and other programs, which say nothing about the
interpreter. Without it every Python runs all tests.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit_handler import AuditHandler, current
from audit_handler._http.watch import forget_all
from audit_handler.clickhouse import ClickHouse
from audit_handler.request import CURRENT
from tests.support import images
from tests.support.asgi import Capture
from tests.support.containers import full_server
from tests.support.engines import Engine, RealServer
from tests.support.listening import ListeningClickHouse
from tests.support.listening.containers import ListeningContainer, TwoShardContainers
from tests.support.listening.image import IMAGE
from tests.support.listening.shards import TwoShards
from tests.support.loopback import LoopbackClickHouse
from tests.support.native import compare_every_encode, quick, why_not
from tests.support.once import other_python
from tests.support.tables import Connect, target_of

_numbers = itertools.count(1)

# A shell ignores SIGINT for what it runs in the background, and nohup ignores SIGHUP; every program
# that a test starts and interrupts would inherit that.
for _signal, _default in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _default)

if os.environ.get("AUDIT_TEST_COMPARE") == "1":
    compare_every_encode()
quick()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for marker, why in (("once", other_python()), ("extension", why_not())):
        if why:
            left_out = [item for item in items if item.get_closest_marker(marker)]
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in set(left_out)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if once_on := other_python():
        terminalreporter.write_line(
            "Left out: the tests marked 'once', of ClickHouse, SQL, files and other programs. They "
            f"run on Python {once_on} alone, because they say nothing about the interpreter."
        )
    if why := why_not():
        terminalreporter.write_line(f"Left out: the tests of the extension ({why}).")


@pytest.fixture(scope="session")
def real_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """The fullest real server that is available: named, in Docker, or chDB's own listener."""
    if url := full_server(request):
        yield RealServer(url)
    elif images.is_here(IMAGE):
        with ListeningContainer(tmp_path_factory.mktemp("container")) as container:
            yield container
    else:
        yield request.getfixturevalue("listening")


@pytest.fixture(scope="session")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackClickHouse]:
    """One loopback server for the run. Tests that kill it, or change its users, start their own."""
    with LoopbackClickHouse.start(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture(scope="session")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListeningClickHouse]:
    """One real server for the run. Tests that kill or pause it start their own."""
    with ListeningClickHouse(tmp_path_factory.mktemp("listening")) as server:
        yield server


@pytest.fixture
def start_listening(tmp_path: Path) -> Iterator[Callable[..., ListeningClickHouse]]:
    """Start real servers for this test only; arguments as for `ListeningClickHouse`."""
    made: list[ListeningClickHouse] = []

    def start(**options: Any) -> ListeningClickHouse:
        directory = tmp_path / f"listening_{len(made) + 1}"
        made.append(ListeningClickHouse(directory, **options))
        return made[-1]

    yield start
    for server in made:
        server.stop()


@pytest.fixture
def two_shards(tmp_path: Path, database: str) -> Iterator[TwoShards]:
    """Two real servers for this test only, with the tables of a cluster in *database*."""
    with TwoShards(tmp_path / "shards") as shards:
        shards.create_tables(database)
        yield shards


@pytest.fixture
def two_containers(tmp_path: Path, database: str) -> Iterator[TwoShardContainers]:
    """As `two_shards`, in Docker on a network for this test only."""
    if not images.is_here(IMAGE):
        pytest.skip(f"Docker does not run, or does not have {IMAGE}: make container")
    with TwoShardContainers(tmp_path / "containers") as shards:
        shards.create_tables(database)
        yield shards


@pytest.fixture(
    scope="session",
    params=[
        "loopback",
        pytest.param("server", marks=[pytest.mark.integration, pytest.mark.once]),
    ],
)
def engine(request: pytest.FixtureRequest) -> Engine:
    """The loopback server, and a real one."""
    name = "loopback" if request.param == "loopback" else "real_server"
    server: Engine = request.getfixturevalue(name)
    return server


@pytest.fixture
def database() -> str:
    """A database for this test only."""
    return f"audit_{os.getpid()}_{next(_numbers)}"


@pytest.fixture
def log(request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    """A logger for this test only, which does not propagate."""
    logger = logging.getLogger(f"shop.{request.node.name}")
    logger.propagate = False
    yield logger
    logger.handlers.clear()


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the environment nor a .env file names a ClickHouse or a spool."""
    for name in list(os.environ):
        if name.startswith(("CLICKHOUSE_", "AUDIT_")) and not name.startswith("AUDIT_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AUDIT_SPOOL_DIR", str(tmp_path / "spool"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def faults(loopback: LoopbackClickHouse) -> Iterator[LoopbackClickHouse]:
    """The loopback server, without faults and logged requests of other tests."""
    loopback.clear_faults()
    loopback.forget_requests()
    yield loopback
    loopback.clear_faults()


@pytest.fixture
def make_handler(tmp_path: Path) -> Iterator[Callable[..., AuditHandler]]:
    """
    Make handlers with quick retries and a spool for this test only; close them at the end.

    ``logger=`` attaches the handler to the logger of that name.

    A batch ends after 10 ms, wherever the test is by then: a test that says which rows are in one
    batch gives a long ``flush_interval_ms=``.
    """
    made: list[tuple[AuditHandler, logging.Logger | None]] = []
    before = set(threading.enumerate())

    def make(dsn: str, *, logger: str | None = None, **options: Any) -> AuditHandler:
        settings: dict[str, Any] = {
            "spool_dir": tmp_path / "spool",
            "create_table": True,
            "flush_interval_ms": 10,
            "retry_min_ms": 1,
            "retry_max_ms": 20,
            "shutdown_timeout": 30.0,
        }
        handler = AuditHandler(dsn, **{**settings, **options})
        log = logging.getLogger(logger) if logger else None
        if log:
            log.addHandler(handler)
            log.setLevel(logging.DEBUG)
        made.append((handler, log))
        return handler

    yield make
    for handler, log in made:
        if log:
            log.removeHandler(handler)
        handler.close(0.0)
    # A listener ends after its request; it would report to the next test that its files are gone.
    for thread in set(threading.enumerate()) - before:
        if thread.name == "audit-handler-listener":
            thread.join(60.0)
            assert not thread.is_alive(), "a listener outlives its test"
    shutil.rmtree(tmp_path / "spool", ignore_errors=True)


@pytest.fixture
def connect(database: str) -> Iterator[Connect]:
    made = []

    def make(dsn: str, **options: Any) -> ClickHouse:
        settings: dict[str, Any] = {"create_table": True, "async_insert": False}
        target_fields = {n: options.pop(n) for n in list(options) if n not in settings}
        clickhouse = ClickHouse(
            target_of(dsn, database, **target_fields), **{**settings, **options}
        )
        made.append(clickhouse)
        return clickhouse

    yield make
    for clickhouse in made:
        clickhouse.close()


@pytest.fixture(autouse=True)
def no_middleware_is_watched() -> None:
    """The applications of other tests may still be alive, and health pages would show them."""
    forget_all()


@pytest.fixture
def audits() -> Capture:
    """The audit events that `logger` gets."""
    return Capture()


@pytest.fixture
def logger(audits: Capture) -> logging.Logger:
    """A logger whose audit events *audits* captures."""
    return audits.logger


@pytest.fixture
def context_is_restored() -> Iterator[None]:
    """A request leaves nothing bound behind."""
    before = current()
    yield
    assert before is current()
    assert CURRENT.get() is None
