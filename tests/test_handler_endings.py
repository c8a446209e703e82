"""A handler that is closed too soon, opened again, forked, or broken: what it says, and loses."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from audit_handler import AuditHandler, SpoolUnavailable
from audit_handler._process.registry import handlers
from tests.support.delivery import AUDIT, MakeHandler, stored_messages
from tests.support.loopback import LoopbackClickHouse
from tests.support.programs import PRELUDE, World, output_of

MEMORY = """
import logging, os, sys, threading
from audit_handler import AuditHandler

handler = AuditHandler(
    flush_interval_ms=3_600_000, create_table=True, spool_dir="memory", shutdown_timeout=60
)
log = logging.getLogger("shop")
log.addHandler(handler)
log.setLevel("INFO")

def audit(number):
    log.info("n", extra={"action": "COUNT", "resource_type": "number", "resource_id": str(number)})
    os.write(1, b"%d\\n" % number)
"""


@pytest.fixture
def world(tmp_path: Path, database: str, loopback: LoopbackClickHouse) -> World:
    if not hasattr(os, "fork"):
        pytest.skip("no forks on this system")
    return World(tmp_path, loopback.dsn(database), database, loopback)


def test_handlers_that_capture_all_do_not_feed_each_other(
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    tmp_path: Path,
) -> None:
    """Each accepted what the driver logged for the other, and delivered that, and so on."""
    driver = logging.getLogger("urllib3")
    first, second = (
        make_handler(
            faults.dsn(f"{database}_{name}"),
            logger=log.name,
            capture="all",
            spool_dir=tmp_path / name,
        )
        for name in ("a", "b")
    )
    for handler in (first, second):
        driver.addHandler(handler)
    driver.setLevel(logging.DEBUG)
    try:
        log.info("x")
        for _ in range(3):
            assert first.flush()
            assert second.flush()
    finally:
        driver.handlers.clear()
        driver.setLevel(logging.NOTSET)

    assert (1, 1) == (first.status().rows_emitted, second.status().rows_emitted)


def test_a_finalizers_audit_is_taken_on_a_listeners_thread(
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
) -> None:
    """Garbage is collected on any thread; the event was ignored there, silently."""
    handler = make_handler(faults.dsn(database), logger=log.name)
    log.info("a", extra=AUDIT)
    pipeline = handler._pipelines.open
    assert pipeline is not None
    is_done = threading.Event()
    real = pipeline.spool.adopt

    def adopt() -> int:
        if not is_done.is_set():
            log.info("b", extra=AUDIT)
            is_done.set()
        return real()

    pipeline.spool.adopt = adopt  # type: ignore[method-assign]
    pipeline.listener._next_adoption = 0.0
    log.info("c", extra=AUDIT)
    assert is_done.wait(60.0)

    assert handler.flush()
    assert ["a", "b", "c"] == stored_messages(faults, database)


@pytest.mark.parametrize("error", [MemoryError("hunter2"), OSError(5, "Input/output error")])
def test_raise_also_fails_closed_for_a_defect_of_ours(
    error: Exception,
    make_handler: MakeHandler,
    log: logging.Logger,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The call returned, and the row was neither stored nor refused. The record was printed."""
    handler = make_handler("http://127.0.0.1:1", logger=log.name, on_full="raise")
    log.info("a", extra=AUDIT)
    pipeline = handler._pipelines.open
    assert pipeline is not None

    def fails(*_: Any, **__: Any) -> None:
        raise error

    pipeline.encoder.encode = fails  # type: ignore[method-assign, assignment]
    with pytest.raises(SpoolUnavailable, match=f"{type(error).__name__} in fails"):
        log.info("password=hunter2", extra=AUDIT)

    assert (1, 1) == (handler.status().rows_emitted, handler.status().rows_dropped)
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("audit_handler")]
    assert "hunter2" not in "".join([*ours, *capsys.readouterr()])


class TimeLimit(Exception):
    """Raised by the signal handlers of job queues."""


class Alarm:
    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        raise TimeLimit

    def strike(self, _number: int, _frame: FrameType | None) -> None:
        raise TimeLimit


def strike(_limit: int, _number: int, _frame: FrameType | None) -> None:
    raise TimeLimit


@pytest.mark.parametrize(
    "raises",
    [Alarm(), Alarm().strike, partial(strike, 2)],
    ids=["an object", "a method", "a partial"],
)
def test_the_time_limit_of_a_job_ends_the_logger_call_and_the_job(
    raises: Callable[[int, FrameType | None], None],
    make_handler: MakeHandler,
    log: logging.Logger,
) -> None:
    """It was counted as a defect of ours, and the job ran on."""
    handler = make_handler("http://127.0.0.1:1", logger=log.name)
    log.info("a", extra=AUDIT)
    pipeline = handler._pipelines.open
    assert pipeline is not None

    def is_interrupted(*_: Any, **__: Any) -> None:
        signal.raise_signal(signal.SIGUSR1)

    pipeline.encoder.encode = is_interrupted  # type: ignore[method-assign, assignment]
    pipeline.put = pipeline._put_record  # in Python; for C see tests/_native
    before = signal.signal(signal.SIGUSR1, raises)
    try:
        with pytest.raises(TimeLimit):
            log.info("b", extra=AUDIT)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert 0 == handler.status().rows_dropped


def test_a_handler_that_nobody_holds_any_more_still_delivers(
    faults: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    handler = AuditHandler(
        faults.dsn(database), spool_dir=tmp_path / "spool", create_table=True, flush_interval_ms=10
    )
    handler.handle(logging.makeLogRecord({"msg": "a", "name": "shop", **AUDIT}))
    identity = id(handler)
    del handler
    found = [known for known in handlers() if id(known) == identity]

    assert 1 == len(found)
    assert found[0].close()


def test_what_a_spool_in_memory_loses_at_the_end_is_told(world: World) -> None:
    world.environment["CLICKHOUSE_URL"] = "http://127.0.0.1:1"
    process = world.start(
        "for number in range(5): audit(number)",
        MEMORY.replace("shutdown_timeout=60", "shutdown_timeout=0.1"),
    )
    _, complaints = output_of(process)

    assert b"5 audit rows are lost" in complaints


def test_the_end_of_logging_does_not_raise_with_rows_in_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """logging.shutdown ended early, and handlers that it had not flushed yet lost their lines."""
    monkeypatch.setitem(world.environment, "CLICKHOUSE_URL", "http://127.0.0.1:1")
    process = world.start(
        """
        import logging.handlers
        buffer = logging.handlers.MemoryHandler(100, target=logging.StreamHandler(sys.stdout))
        # shutdown flushes the handlers that were made last first.
        last = AuditHandler(spool_dir="memory", shutdown_timeout=0)
        log.handlers = [buffer, last]
        audit(1)
        """,
        prelude=MEMORY.replace("shutdown_timeout=60", "shutdown_timeout=0"),
    )
    printed, complaints = output_of(process)

    assert (0, b"1\nn\n") == (process.returncode, printed), complaints
    assert b"Traceback" not in complaints
    assert b"1 audit rows are lost" in complaints


@pytest.mark.parametrize("ending", ["flush", "close"])
def test_an_ending_that_fails_is_reported_and_does_not_raise(
    ending: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handler = make_handler("http://127.0.0.1:1", logger=log.name)
    log.info("x", extra=AUDIT)
    pipeline = handler._pipelines.open
    assert pipeline is not None

    def fail(*_: object) -> bool:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(pipeline, ending, fail)
        answer = getattr(handler, ending)(0)
    pipeline.close(0.0)

    assert answer is False
    assert "Input/output error" in caplog.text


def test_an_interruption_passes_through_flush(
    make_handler: MakeHandler, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = make_handler("http://127.0.0.1:1", logger=log.name)
    log.info("x", extra=AUDIT)

    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(handler._pipelines.open, "flush", interrupt)
        with pytest.raises(KeyboardInterrupt):
            handler.flush(0)


def test_a_child_does_not_deliver_its_parents_rows_in_memory(world: World) -> None:
    """It had a copy of them, and no lock kept it from them."""
    acknowledged = world.run(
        """
        for number in range(4): audit(number)
        child = os.fork()
        if child == 0:
            audit(100)
            os._exit(0 if handler.flush() else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert handler.flush()
        """,
        prelude=MEMORY,
    )

    world.assert_whole(acknowledged)


def test_threads_that_fork_at_once_neither_fail_nor_wait_for_each_other(world: World) -> None:
    """One released what the other had taken for its own fork."""
    acknowledged = world.run(
        """
        sys.setswitchinterval(1e-5)

        def forks(first):
            for number in range(first, first + 30):
                audit(number)
                child = os.fork()
                if child == 0:
                    os._exit(0)
                os.waitpid(child, 0)

        threads = [threading.Thread(target=forks, args=(100 * t,)) for t in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """
    )

    assert 120 == len(acknowledged)
    world.assert_whole(acknowledged)


def test_a_fork_and_a_dict_config_do_not_wait_for_each_other(world: World) -> None:
    """dictConfig held logging's lock and wanted the handler's; a fork held that and wanted both."""
    acknowledged = world.run(
        """
        import logging.config
        is_over = threading.Event()

        def configures():
            while not is_over.is_set():
                logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})

        thread = threading.Thread(target=configures)
        thread.start()
        for number in range(100):
            audit(number)
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
        is_over.set()
        thread.join()
        """
    )

    assert 100 == len(acknowledged)
    world.finish()
    world.assert_whole(acknowledged)


@pytest.mark.parametrize("moment", ["append", "_create"])
def test_a_child_that_was_forked_on_top_of_a_put_keeps_out_of_its_parents_files(
    moment: str, world: World
) -> None:
    """By a signal handler that returns there: the child went on where the parent was, too."""
    acknowledged = world.run(
        f"""
        from audit_handler.spool._writer import Writer
        real, child = Writer.{moment}, []

        def forking(self, *args):
            if not child and audited == 3:
                child.append(os.fork())
            return real(self, *args)

        audited = 0
        if {moment!r} == "_create":
            class Forking(type(handler._files)):
                def create(self, path):
                    handle = super().create(path)
                    if not child and audited == 3:
                        child.append(os.fork())
                    return handle
            handler._files.__class__ = Forking
        else:
            Writer.append = forking
        for audited in range(5):
            if audited < 4 or child[0]:
                audit(audited if not child or child[0] else 100 + audited)
        if child[0] == 0:
            audit(200)
            handler.close()
            os._exit(0)
        assert os.waitpid(child[0], 0)[1] == 0
        assert handler.close()
        """,
        environment={"AUDIT_BATCH_SIZE": "3"},
        # Sealed by the third row alone: the fourth one creates a segment.
        prelude=PRELUDE.replace("batch_size=500,", "batch_size=3,").replace(
            "flush_interval_ms=10,", "flush_interval_ms=3_600_000,"
        ),
    )

    numbers = [number for number in acknowledged if number != 3]
    rows = world.query(
        f"SELECT writer_id, count() - uniqExact(seq) AS repeats, max(seq) - count() AS gaps "
        f"FROM {world.table} GROUP BY writer_id"
    )
    assert [0, 1, 2, 4, 200] == sorted(numbers)
    assert [(0, 0), (0, 0)] == [(row["repeats"], row["gaps"]) for row in rows]


def test_a_child_that_was_forked_on_top_of_a_start_does_not_deliver_for_its_parent(
    world: World,
) -> None:
    """The parent's listener began in the child, too."""
    acknowledged = world.run(
        """
        from audit_handler._delivery.listener import Listener
        real_start, real_run, real_serve = threading.Thread.start, Listener._run, Listener.serve
        child, is_over = [], threading.Event()

        def start(self):
            if not child:
                child.append(os.fork())
            try:
                real_start(self)
            except RuntimeError:  # From Python 3.13 on, after the fork.
                is_over.set()
            if child[0] == 0:
                is_over.wait()
                os._exit(0)

        def run(self):
            real_run(self)
            is_over.set()

        def serve(self):
            if child[0] == 0:
                os._exit(9)
            real_serve(self)

        threading.Thread.start, Listener._run, Listener.serve = start, run, serve
        audit(1)
        assert os.waitpid(child[0], 0)[1] == 0
        assert handler.close()
        """
    )

    world.assert_whole(acknowledged)


def test_a_signal_handlers_first_audit_in_the_middle_of_a_fork_is_taken(world: World) -> None:
    """A lock that was held across the fork's hooks was the one that it wanted."""
    acknowledged = world.run(
        """
        os.register_at_fork(before=lambda: audit(1))
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        audit(2)
        assert handler.flush()
        """
    )

    world.assert_whole(acknowledged)


def test_a_finalizer_at_the_end_of_the_interpreter_is_audited(world: World) -> None:
    """Formatting the time, and a template of a regular expression, imported modules there."""
    acknowledged = world.run(
        """
        class Resource:
            def __init__(self):
                # The names of the program are gone when the finalizer runs.
                self.log, self.write = log, os.write

            def __del__(self):
                for number, extra in enumerate([
                    {},
                    {"event_time": "2026-11-23T03:04:05Z"},
                    {"request_body": "https://user:hunter2@host/"},
                    {"new_value": {"at": self}, "ip_address": "10.0.0.1:80"},
                ]):
                    self.log.info("n", extra={
                        "action": "COUNT", "resource_type": "number", "resource_id": str(number),
                        **extra,
                    })
                    self.write(1, b"%d\\n" % number)

        # Modules are cleared after the exit hooks.
        sys.modules["a_module"] = Resource()
        """
    )
    world.finish()

    assert [0, 1, 2, 3] == acknowledged
    world.assert_whole(acknowledged)


def test_a_closed_handler_lives_until_its_listener_has_delivered(
    faults: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    """The end of the process waits for the closed pipelines that a living handler knows."""
    faults.fault("http_status", status=503, times=-1)
    handler = AuditHandler(
        faults.dsn(database),
        spool_dir=tmp_path / "spool",
        create_table=True,
        retry_min_ms=1,
        retry_max_ms=20,
    )
    handler.handle(logging.makeLogRecord({"msg": "a", "name": "shop", **AUDIT}))
    pipeline = handler._pipelines.open
    assert pipeline is not None
    listener, closed = pipeline.listener, weakref.ref(pipeline)
    with logging._lock:  # type: ignore[attr-defined]  # as dictConfig, which then drops the handler
        handler.close()
    del handler, pipeline
    gc.collect()
    lives = closed() is not None
    faults.clear_faults()
    listener.join(60.0)

    assert lives
    assert ["a"] == stored_messages(faults, database)
