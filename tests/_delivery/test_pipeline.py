"""A pipeline: when its listener starts, and what closing it waits for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from audit_handler._clock import Clock, SystemClock
from audit_handler._delivery.listener import Listener, State
from audit_handler._delivery.pipeline import Pipeline
from audit_handler._record.redaction import Redactor
from audit_handler.config import Settings
from audit_handler.errors import SpoolClosed
from audit_handler.spool import DiskFiles
from audit_handler.status import Counters
from tests.support.delivery import AUDIT, MakeHandler, stored_messages
from tests.support.doubles import SteppingClock
from tests.support.loopback import LoopbackClickHouse

RECORD = logging.makeLogRecord({"name": "shop", "msg": "x", **AUDIT})


class MakePipeline(Protocol):
    def __call__(self, *, clock: Clock = ..., delivers: bool = True) -> Pipeline: ...


@pytest.fixture
def make_pipeline(tmp_path: Path) -> Iterator[MakePipeline]:
    """Make pipelines whose ClickHouse is unreachable; stop them at the end."""
    made: list[Pipeline] = []

    def make(*, clock: Clock | None = None, delivers: bool = True) -> Pipeline:
        settings = Settings.resolve({"dsn": "http://127.0.0.1:1", "spool_dir": str(tmp_path)}, {})
        pipeline = Pipeline(
            settings,
            Redactor(),
            DiskFiles(),
            tmp_path,
            Counters(),
            clock or SystemClock(),
            on_refused=lambda _error: None,
            delivers=delivers,
        )
        made.append(pipeline)
        return pipeline

    yield make
    for pipeline in made:
        pipeline.close(0.0)
        pipeline.listener.join(60.0)


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """Let no thread start; return those that were asked for."""
    asked: list[threading.Thread] = []

    def fails(thread: threading.Thread) -> None:
        asked.append(thread)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fails)
    return asked


def test_a_thread_is_tried_once_a_second_and_the_failure_is_logged_once(
    make_pipeline: MakePipeline,
    no_threads: list[threading.Thread],
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = SteppingClock()
    pipeline = make_pipeline(clock=clock)
    tries = []
    for _ in range(4):
        pipeline.put(RECORD, 0.0)
        tries.append(len(no_threads))
        clock.now += 0.5

    assert [1, 1, 2, 2] == tries
    assert 1 == caplog.text.count("No thread can be started (can't start new thread)")


def test_a_flush_tries_at_once_to_start_a_thread_and_does_not_wait_without_one(
    make_pipeline: MakePipeline, no_threads: list[threading.Thread]
) -> None:
    pipeline = make_pipeline(clock=SteppingClock())
    pipeline.put(RECORD, 0.0)
    is_flushed = pipeline.flush(3_600.0)

    assert not is_flushed
    assert 2 == len(no_threads)


def test_a_pipeline_that_does_not_deliver_starts_no_thread(
    make_pipeline: MakePipeline, no_threads: list[threading.Thread]
) -> None:
    pipeline = make_pipeline(delivers=False)
    pipeline.put(RECORD, 0.0)
    answers = (pipeline.flush(3_600.0), pipeline.close(3_600.0))

    assert (False, False) == answers
    assert [] == no_threads
    assert pipeline.spool.is_closed


def test_a_pipeline_whose_thread_never_began_closes_its_spool(
    make_pipeline: MakePipeline, no_threads: list[threading.Thread]
) -> None:
    pipeline = make_pipeline()
    pipeline.put(RECORD, 0.0)
    is_flushed = pipeline.close(3_600.0)

    assert 1 == len(no_threads)
    assert not is_flushed
    assert State.ENDED is pipeline.listener.state
    with pytest.raises(SpoolClosed):
        pipeline.put(RECORD, 0.0)


def test_under_loggings_lock_a_close_does_not_wait_for_the_listener(
    make_pipeline: MakePipeline,
) -> None:
    """The listener, or the driver, may need that lock for a line of its own."""
    pipeline = make_pipeline()
    pipeline.put(RECORD, 0.0)
    with logging._lock:  # type: ignore[attr-defined]  # dictConfig holds it while it closes handlers
        is_flushed = pipeline.close(3_600.0)
    state = pipeline.listener.state
    pipeline.listener.stop(60.0)

    assert not is_flushed
    assert State.DRAINING is state
    assert State.ENDED is pipeline.listener.state


def test_a_second_close_does_not_wait_for_a_listener_that_was_stopped(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = make_pipeline()
    pipeline.put(RECORD, 0.0)
    answers = (pipeline.close(0.0), pipeline.close(3_600.0))

    assert (False, False) == answers


def test_a_thread_that_cannot_be_started_is_started_later(
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At a limit of threads, or with Ctrl-C in the first audit, nothing was ever delivered."""

    def fails(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    handler = make_handler(faults.dsn(database), logger=log.name)
    monkeypatch.setattr(threading.Thread, "start", fails)
    log.info("a", extra=AUDIT)
    log.info("b", extra=AUDIT)
    monkeypatch.undo()

    assert 1 == caplog.text.count("can't start new thread")
    assert handler.flush()
    assert ["a", "b"] == stored_messages(faults, database)


def test_what_was_closed_before_it_began_begins_no_more(
    make_handler: MakeHandler, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads delivered one spool, and reported rows that they had lost."""
    handler = make_handler("http://127.0.0.1:1", logger=log.name)
    real, started = Pipeline.start, list[Pipeline]()

    def start(pipeline: Pipeline) -> None:
        monkeypatch.undo()
        started.append(pipeline)
        closing = threading.Thread(target=handler.close, args=(0.0,))
        closing.start()
        closing.join(60.0)
        real(pipeline)

    monkeypatch.setattr(Pipeline, "start", start)
    log.info("x", extra=AUDIT)

    assert State.ENDED is started[0].listener.state
    assert not started[0].listener.is_alive
    assert started[0].spool.is_closed
    assert started[0] is not handler._pipelines.open
    assert 1 == handler.status().rows_waiting


def test_a_close_right_after_the_first_audit_waits_for_its_delivery(
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread was started, and had not come to its first line: its rows were left behind."""
    may_run, real = threading.Event(), Listener._run

    def late(self: Listener) -> None:
        assert may_run.wait(60.0)
        real(self)

    def drain(self: Listener) -> None:
        monkeypatch.undo()
        self.drain()
        may_run.set()

    monkeypatch.setattr(Listener, "_run", late)
    monkeypatch.setattr(Listener, "drain", drain)
    handler = make_handler(faults.dsn(database), logger=log.name)
    log.info("a", extra=AUDIT)
    is_closed = handler.close()
    may_run.set()

    assert is_closed
    assert ["a"] == stored_messages(faults, database)
