"""The listener: when its thread begins, waits and ends; segments that the disk does not return."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit_handler._delivery.listener import Listener, State
from tests.support.delivery import NO_TABLE, REFUSED, TIMEOUT, Bench
from tests.support.spools import leave_behind, make_spool, put_numbers


def test_the_thread_closes_what_it_used_when_it_ends(bench: Bench) -> None:
    put_numbers(bench.spool, 1, 3)
    bench.deliver()

    assert bench.destination.is_closed
    assert [] == list(bench.directory.iterdir())


# Start and stop


@pytest.fixture
def serving(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> tuple[Listener, list[str]]:
    """A listener whose thread notes its name where it would serve."""
    listener, served = bench.listener(), list[str]()
    monkeypatch.setattr(listener, "serve", lambda: served.append(threading.current_thread().name))
    return listener, served


class Interrupted(BaseException):
    """Raised by a signal handler, as `KeyboardInterrupt` is."""


def start_with(step: Callable[[Callable[[], None]], None]) -> Callable[[threading.Thread], None]:
    """Return a `Thread.start` that calls *step* with the real start, and waits for the thread."""
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        try:
            step(lambda: real(thread))
        finally:
            if thread.ident is not None:
                thread.join(60.0)

    return start


def test_the_thread_runs_drains_and_ends(bench: Bench) -> None:
    put_numbers(bench.spool, 1, 3)
    listener = bench.listener()
    states = [listener.state]
    listener.start()
    states.append(listener.state)
    listener.drain()
    listener.join(60.0)
    states.append(listener.state)

    assert [State.NEW, State.RUNNING, State.ENDED] == states
    assert [1, 2, 3] == bench.stored
    assert not listener.is_alive


def test_a_start_on_top_of_another_one_makes_one_thread_serve(
    serving: tuple[Listener, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads call it, or a signal handler audits on top of the first audit event."""
    listener, served = serving
    starts: list[None] = []

    def step(start: Callable[[], None]) -> None:
        starts.append(None)
        if len(starts) == 1:
            listener.start()
        start()

    monkeypatch.setattr(threading.Thread, "start", start_with(step))
    listener.start()
    listener.start()

    assert 2 == len(starts)
    assert ["audit-handler-listener"] == served
    assert State.RUNNING is listener.state


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_start_that_was_interrupted_can_be_called_again(
    has_begun: bool, serving: tuple[Listener, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, served = serving

    def step(start: Callable[[], None]) -> None:
        if has_begun:
            start()
        raise Interrupted

    with monkeypatch.context() as interrupting:
        interrupting.setattr(threading.Thread, "start", start_with(step))
        with pytest.raises(Interrupted):
            listener.start()
    after = (listener.state, list(served))
    monkeypatch.setattr(threading.Thread, "start", start_with(lambda start: start()))
    listener.start()

    assert ((State.RUNNING, served) if has_begun else (State.NEW, [])) == after
    assert ["audit-handler-listener"] == served
    assert State.RUNNING is listener.state


def test_a_listener_that_is_retired_while_its_thread_starts_does_not_serve(
    serving: tuple[Listener, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, served = serving
    answers: list[bool] = []

    def step(start: Callable[[], None]) -> None:
        answers.append(listener.retire())
        start()

    monkeypatch.setattr(threading.Thread, "start", start_with(step))
    listener.start()
    answers.append(listener.retire())

    assert [True, True] == answers
    assert ([], State.ENDED) == (served, listener.state)


def test_a_listener_that_has_begun_is_not_retired(bench: Bench) -> None:
    listener = bench.listener()
    listener.start()
    is_retired = listener.retire()
    listener.stop(60.0)

    assert not is_retired
    assert listener.retire()


def test_no_thread_serves_when_it_is_gone_without_a_word(
    serving: tuple[Listener, list[str]],
) -> None:
    """In a forked child, where the threads of the parent do not run: no wait for them."""
    listener, _ = serving
    listener.start()
    listener.join(60.0)

    assert State.RUNNING is listener.state
    assert listener.retire()


def test_no_state_is_followed_by_an_earlier_one(bench: Bench) -> None:
    listener, states = bench.listener(), list[State]()
    for step in (listener.drain, listener.stop, listener.drain, listener.start, listener.serve):
        step()
        states.append(listener.state)
    listener.drain()

    stopping = [State.STOPPING] * 3
    assert [State.DRAINING, *stopping, State.ENDED] == states
    assert State.ENDED is listener.state


# Failures


@pytest.mark.parametrize("failure", [TIMEOUT, REFUSED, NO_TABLE, ValueError("a bug of ours")])
def test_no_failure_is_final(tmp_path: Path, failure: Any) -> None:
    bench = Bench(tmp_path)
    outcomes = [failure] * 50
    bench.destination.refuse = lambda _lines: outcomes.pop() if outcomes else None
    put_numbers(bench.spool, 1, 3)
    if isinstance(failure, ValueError):

        def raise_bug(_lines: bytes) -> None:
            if outcomes:
                raise outcomes.pop()

        bench.destination.refuse = raise_bug
    bench.deliver()

    assert [1, 2, 3] == bench.stored
    assert bench.counters.retries == 50


def test_waits_double_up_to_their_bound_and_a_random_share_of_them_is_taken(bench: Bench) -> None:
    bench.destination.script = [REFUSED] * 10
    put_numbers(bench.spool, 1, 10)
    listener = bench.listener(jitter=lambda: 0.5)
    segment = listener.dequeue(True)
    assert segment is not None
    bench.clock.waits.clear()
    listener.handle(segment)

    assert [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0, 15.0] == pytest.approx(bench.clock.waits)


def test_a_segment_that_was_removed_is_counted_and_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    put_numbers(bench.spool, 1, 13)
    next(bench.directory.rglob("*.ready")).unlink()
    bench.deliver()

    assert 10 == bench.counters.rows_lost
    assert [11, 12, 13] == bench.stored
    assert "removed 10 rows from the spool" in caplog.text


def test_a_stopped_listener_leaves_the_rows_in_the_spool(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *[REFUSED] * 100)
    put_numbers(bench.spool, 1, 3)
    listener = bench.listener()
    segment = bench.spool.get(10.0)
    assert segment is not None
    listener.stop()
    is_delivered = listener.handle(segment)
    bench.spool.close()
    bench.spool = bench.new_spool()
    bench.destination.script.clear()
    bench.deliver()

    assert not is_delivered
    assert [1, 2, 3] == bench.stored


def test_hurry_cuts_a_wait_short(bench: Bench) -> None:
    listener = bench.listener()
    listener.hurry()
    began = bench.clock.now
    listener._pause(30.0)
    listener._pause(30.0)

    assert bench.clock.now == began + 30.0


def test_rows_for_a_target_that_no_process_serves_are_reported_and_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The dsn was changed while rows were waiting: they stay until a process serves the old one."""
    dead = make_spool(tmp_path / "old-target")
    put_numbers(dead, 1, 3)
    leave_behind(dead)
    living = make_spool(tmp_path / "other-application")
    put_numbers(living, 4, 6)
    (tmp_path / "not-a-spool").mkdir()
    (tmp_path / "a-file").touch()
    bench = Bench(tmp_path)
    put_numbers(bench.spool, 7, 9)
    bench.deliver()

    said = [r.getMessage() for r in caplog.records if "no process serves" in r.getMessage()]
    assert len(said) == 1
    assert str(tmp_path / "old-target") in said[0]
    assert bench.stored == [7, 8, 9]
    assert [] == list((tmp_path / "not-a-spool").iterdir())
    assert len(list((tmp_path / "old-target").rglob("*.ready"))) == 1


# What the spool's disk does


def test_a_segment_that_was_removed_before_its_insert_is_lost_and_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    put_numbers(bench.spool, 1, 20)
    segment = bench.spool.get(0.0)
    assert segment is not None
    segment.path.unlink()
    bench.listener().handle(segment)
    bench.spool.task_done()
    bench.deliver()

    assert 10 == bench.counters.rows_lost
    assert list(range(11, 21)) == bench.stored
    assert "Another program removed 10 rows from the spool" in caplog.text


def test_a_segment_that_the_disk_does_not_return_holds_up_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = bench.spool.files.read

    def read(path: Path, *, is_synced: bool = False) -> bytes:
        if path.stem.endswith("01"):
            raise OSError(5, "Input/output error", str(path))
        return real(path, is_synced=is_synced)

    monkeypatch.setattr(bench.spool.files, "read", read)
    put_numbers(bench.spool, 1, 30)
    bench.deliver()
    left = list(bench.directory.rglob("*.unreadable"))

    assert list(range(11, 31)) == bench.stored
    assert 10 == bench.counters.rows_lost
    assert 10 == len(left[0].read_bytes().splitlines())
    assert str(left[0]) in caplog.text
    assert 0 == bench.spool.waiting_rows


def test_a_segment_that_can_be_read_and_not_synced_is_delivered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = bench.spool.files.read

    def read(path: Path, *, is_synced: bool = False) -> bytes:
        if is_synced:
            raise OSError(5, "Input/output error", str(path))
        return real(path)

    monkeypatch.setattr(bench.spool.files, "read", read)
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert list(range(1, 11)) == bench.stored
    assert 0 == bench.counters.rows_lost


def test_a_segment_that_can_neither_be_read_nor_set_aside_ends_no_thread(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = bench.spool.files
    real_read, refusals = files.read, [OSError(5, "Input/output error")] * 20

    def read(path: Path, *, is_synced: bool = False) -> bytes:
        if refusals:
            raise refusals.pop()
        return real_read(path, is_synced=is_synced)

    def refused(_segment: object) -> Path:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files, "read", read)
    monkeypatch.setattr(bench.spool.taken, "give_up", refused)
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert list(range(1, 11)) == bench.stored
