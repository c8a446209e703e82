"""Re-entry: a signal handler or finalizer that logs, flushes or raises on top of a call."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_handler._clock import Clock, SystemClock
from audit_handler.errors import SpoolClosed, SpoolError, SpoolFull, SpoolUnsynced
from audit_handler.spool import DiskFiles
from audit_handler.spool._reentry import Reentry
from tests.support.disks import InterruptedFiles, raising
from tests.support.doubles import SteppingClock
from tests.support.spools import MONTH, make_spool, put_numbers, take_all


def test_a_blocked_put_continues_when_there_is_space(tmp_path: Path) -> None:
    spool = make_spool(tmp_path, clock=SystemClock(), max_bytes=300)
    put_numbers(spool, 1, 3)
    blocked = threading.Thread(
        target=lambda: spool.put(b'{"n":4,"x":"%b"}' % (b"y" * 100), MONTH, timeout=60.0)
    )
    blocked.start()
    assert spool.get(60.0) is not None
    spool.task_done()
    blocked.join(60.0)
    spool.wake(closing=True)

    assert take_all(spool) == [4]


def test_a_blocked_put_ends_at_its_timeout(tmp_path: Path) -> None:
    clock = SteppingClock()
    spool = make_spool(tmp_path, clock=clock, max_bytes=60)
    put_numbers(spool, 1, 1)
    began = clock.now

    with pytest.raises(SpoolFull):
        spool.put(b'{"n":2}', MONTH, timeout=10.0)
    assert clock.now == pytest.approx(began + 10.0)


def test_a_row_put_on_top_of_another_put_is_appended_after_it(tmp_path: Path) -> None:
    """
    A signal handler may log while the interrupted thread is inside ``put``: no deadlock, no mixed
    lines.
    """

    class InterruptingFiles(DiskFiles):
        def write(self, handle: int, data: bytes) -> int:  # type: ignore[override]  # DiskFiles.write is os.write itself
            if b'"n":1' in data:
                spool.put(b'{"n":2}', MONTH)
            return os.write(handle, data)

    spool = make_spool(tmp_path, files=InterruptingFiles())
    spool.put(b'{"n":1}', MONTH)

    assert take_all(spool) == [1, 2]


def test_a_row_put_by_a_signal_handler_that_then_raises_is_appended(tmp_path: Path) -> None:
    """
    ``audit(...); sys.exit()`` in a SIGTERM handler: the call has returned, so the row is there.
    """

    class InterruptingFiles(DiskFiles):
        def write(self, handle: int, data: bytes) -> int:  # type: ignore[override]  # DiskFiles.write is os.write itself
            if b'"n":1' in data:
                spool.put(b'{"n":2}', MONTH)
                raise SystemExit
            return os.write(handle, data)

    spool = make_spool(tmp_path, files=InterruptingFiles())
    with pytest.raises(SystemExit):
        put_numbers(spool, 1, 1)

    assert [2] == take_all(spool)


@pytest.mark.parametrize("moment", ["before write", "after write"])
def test_a_flush_on_top_of_a_put_returns_false_and_changes_nothing(
    tmp_path: Path, moment: str
) -> None:
    """
    It appended the rows that were logged on top of a half-done put: numbers came twice, and rows
    were cut off.
    """
    files = InterruptedFiles()
    spool = make_spool(tmp_path, files=files, batch_size=100)
    answers: list[bool] = []

    def interruption() -> None:
        spool.put(b'{"n":3}', MONTH)
        answers.append(spool.flush(60.0))
        spool.close()

    put_numbers(spool, 1, 1)
    files.interruptions[moment] = interruption
    put_numbers(spool, 2, 2)
    put_numbers(spool, 4, 4)
    segment = spool.get(10.0)
    assert segment is not None
    rows = [json.loads(line) for line in files.read(segment.path).splitlines()]

    assert [False] == answers
    assert [(1, 1), (2, 2), (3, 3), (4, 4)] == [(row["seq"], row["n"]) for row in rows]
    assert (4, segment.size) == (spool.waiting_rows, spool.waiting_bytes)


def test_a_row_put_on_top_of_the_listeners_seal_is_appended(tmp_path: Path) -> None:
    """A finalizer runs on any thread that collects garbage."""
    files = InterruptedFiles()
    spool = make_spool(tmp_path, files=files, batch_size=100)
    put_numbers(spool, 1, 1)
    files.interruptions["after rename"] = lambda: put_numbers(spool, 2, 2)

    assert [1, 2] == take_all(spool)


def test_a_row_put_on_top_without_space_is_reported(tmp_path: Path) -> None:
    """Its call had returned; the interrupted call got the error for a row that was not its own."""
    files, refused = InterruptedFiles(), list[SpoolError]()
    spool = make_spool(tmp_path, files=files, max_bytes=70, on_refused=refused.append)
    files.interruptions["after write"] = lambda: put_numbers(spool, 2, 2)
    put_numbers(spool, 1, 1)

    assert [SpoolFull] == [type(error) for error in refused]
    assert [1] == take_all(spool)


def test_a_row_on_top_survives_an_interruption_of_its_append(tmp_path: Path) -> None:
    """Ctrl-C while the row of a signal handler was being appended: the row was lost silently."""
    files = InterruptedFiles()
    spool = make_spool(tmp_path, files=files, batch_size=10)

    def interruption() -> None:
        put_numbers(spool, 2, 2)
        files.interruptions["before write"] = raising(KeyboardInterrupt)

    files.interruptions["after write"] = interruption
    with pytest.raises(KeyboardInterrupt):
        put_numbers(spool, 1, 1)
    put_numbers(spool, 3, 3)

    assert [1, 3, 2] == take_all(spool)


def test_a_row_on_top_of_a_flush_does_not_wait_for_another_threads_sync(tmp_path: Path) -> None:
    """The flush held the spool's lock, the sync the other one, and each wanted both."""
    is_syncing, may_end = threading.Event(), threading.Event()

    class SlowDisk(InterruptedFiles):
        def sync(self, handle: int) -> None:
            if not is_syncing.is_set():
                is_syncing.set()
                assert may_end.wait(60.0)
            super().sync(handle)

        def duplicate(self, handle: int) -> int:
            if is_syncing.is_set():
                # From here on, this call waits for the end of the other one.
                may_end.set()
            return super().duplicate(handle)

    spool = make_spool(tmp_path, files=SlowDisk(), fsync="always", batch_size=100)
    other = threading.Thread(target=put_numbers, args=(spool, 1, 1), daemon=True)
    other.start()
    assert is_syncing.wait(60.0)

    def flush_and_audit() -> None:
        with spool.lock:  # as in `flush`, and a signal handler on top of it
            put_numbers(spool, 2, 2)

    flushing = threading.Thread(target=flush_and_audit, daemon=True)
    flushing.start()
    flushing.join(60.0)
    other.join(60.0)

    assert not flushing.is_alive()
    assert not other.is_alive()
    assert [1, 2] == take_all(spool)


# Without a spool


class FewRows:
    """Rows in a list that accepts at most *limit*."""

    def __init__(self, limit: int = 100) -> None:
        self.bodies: list[bytes] = []
        self.limit = limit
        self.is_closed = False
        self.syncs: list[int] = []
        self.on_append: Callable[[], None] = lambda: None
        self.contentions = 0

    @property
    def last_seq(self) -> int:
        return len(self.bodies)

    def append(self, body: bytes, _month: str) -> int:
        on_append, self.on_append = self.on_append, lambda: None
        on_append()
        if self.is_closed:
            raise SpoolClosed("closed")
        if len(self.bodies) >= self.limit:
            raise SpoolFull("full")
        self.bodies.append(body)
        return len(self.bodies)

    def settle(self) -> None:
        pass

    def note_contention(self) -> None:
        self.contentions += 1

    def sync_accepted(self) -> None:
        self.syncs.append(len(self.bodies))


def reentry_of(
    rows: FewRows,
    clock: Clock | None = None,
    on_refused: Callable[[SpoolError], None] = lambda _error: None,
) -> Reentry:
    lock = threading.RLock()
    condition = threading.Condition(lock)
    return Reentry(lock, condition, rows, clock or SteppingClock(), on_refused)


def writing(reentry: Reentry, rows: FewRows) -> tuple[threading.Thread, threading.Event]:
    """Return a thread in the middle of a put, and the event that lets it end."""
    is_writing, may_end = threading.Event(), threading.Event()

    def write() -> None:
        is_writing.set()
        assert may_end.wait(60.0)

    rows.on_append = write
    other = threading.Thread(target=reentry.put, args=(b"1", MONTH, 0.0))
    other.start()
    assert is_writing.wait(60.0)
    return other, may_end


def test_a_put_lets_a_thread_that_writes_finish_before_it_waits_for_the_lock() -> None:
    """A thread that waits for the lock gets it with the next switch, and makes all others wait."""
    clock, rows = SteppingClock(), FewRows()
    reentry = reentry_of(rows, clock)
    other, may_end = writing(reentry, rows)

    def let_it_end() -> None:
        may_end.set()
        other.join(60.0)

    clock.on_wait = let_it_end

    assert 2 == reentry.put(b"2", MONTH, 0.0)
    assert [b"1", b"2"] == rows.bodies
    assert 1 == len(clock.waits)
    assert 1 == rows.contentions


def test_a_put_waits_for_the_lock_of_a_thread_that_writes_for_long() -> None:
    class WatchedLock:
        """A lock that calls *on_enter* before it is waited for."""

        on_enter: Callable[[], None] = staticmethod(lambda: None)

        def __enter__(self) -> None:
            self.on_enter()
            lock.__enter__()

        def __exit__(self, *_error: object) -> None:
            lock.release()

    clock, rows = SteppingClock(), FewRows()
    lock, watched = threading.RLock(), WatchedLock()
    reentry = Reentry(watched, threading.Condition(lock), rows, clock, lambda _error: None)  # type: ignore[arg-type]  # a lock by shape
    other, may_end = writing(reentry, rows)
    watched.on_enter = may_end.set

    assert 2 == reentry.put(b"2", MONTH, 0.0)
    other.join(60.0)
    assert [0.00005] * 20 == clock.waits
    assert 1 == rows.contentions


def test_a_put_on_top_of_another_waits_for_nothing() -> None:
    clock, rows = SteppingClock(), FewRows()
    reentry = reentry_of(rows, clock)
    on_top: list[int] = []
    rows.on_append = lambda: on_top.append(reentry.put(b"2", MONTH, 0.0))

    assert 2 == reentry.put(b"1", MONTH, 0.0)
    assert [0] == on_top
    assert [] == clock.waits
    assert 0 == rows.contentions


def test_a_put_returns_the_number_of_the_row_or_of_the_last_one_on_top_of_it() -> None:
    rows = FewRows()
    reentry = reentry_of(rows)
    on_top: list[int] = []
    alone = reentry.put(b"1", MONTH, 0.0)
    rows.on_append = lambda: on_top.append(reentry.put(b"3", MONTH, 0.0))
    interrupted = reentry.put(b"2", MONTH, 0.0)

    assert (1, [0], 3) == (alone, on_top, interrupted)
    assert [b"1", b"2", b"3"] == rows.bodies


def test_rows_on_top_of_a_change_are_appended_at_its_end_and_synced() -> None:
    rows = FewRows()
    reentry = reentry_of(rows)
    with reentry.changing():
        with reentry.changing():
            reentry.put(b"1", MONTH, 0.0)
        inside = list(rows.bodies)

    assert [] == inside
    assert [b"1"] == rows.bodies
    assert [1] == rows.syncs


def test_a_failed_sync_of_rows_on_top_is_reported() -> None:
    class Unsynced(FewRows):
        def sync_accepted(self) -> None:
            raise SpoolUnsynced("refused")

    refused: list[SpoolError] = []
    reentry = reentry_of(Unsynced(), on_refused=refused.append)
    with reentry.changing():
        reentry.put(b"1", MONTH, 0.0)

    assert [SpoolUnsynced] == [type(error) for error in refused]


def test_the_spool_is_busy_only_for_a_call_on_top() -> None:
    rows = FewRows()
    reentry = reentry_of(rows)
    seen: list[bool] = []
    rows.on_append = lambda: seen.append(reentry.is_busy)
    reentry.put(b"1", MONTH, 0.0)
    with reentry.changing():
        seen.append(reentry.is_busy)

    assert [True, True] == seen
    assert not reentry.is_busy


def test_a_blocked_put_does_not_defer_rows_of_other_threads() -> None:
    """They are no signal handlers: their rows are appended or rejected at once."""

    class Waiting(SteppingClock):
        def wait(self, condition: threading.Condition, timeout: float | None) -> None:
            super().wait(condition, timeout)
            seen.append(reentry.is_busy)
            rows.limit = 1

    rows, seen = FewRows(limit=0), list[bool]()
    reentry = reentry_of(rows, Waiting())

    assert 1 == reentry.put(b"1", MONTH, 60.0)
    assert [False] == seen


def test_a_put_that_waits_for_space_ends_when_the_spool_is_closed() -> None:
    class Waiting(SteppingClock):
        def wait(self, condition: threading.Condition, timeout: float | None) -> None:
            super().wait(condition, timeout)
            rows.is_closed = True

    rows, clock = FewRows(limit=0), Waiting()
    with pytest.raises(SpoolClosed):
        reentry_of(rows, clock).put(b"1", MONTH, 60.0)

    assert 1 == len(clock.waits)


def test_rows_that_an_interruption_left_deferred_are_appended_by_the_next_call() -> None:
    rows = FewRows()
    reentry = reentry_of(rows)

    def interruption() -> None:
        reentry.put(b"2", MONTH, 0.0)
        rows.on_append = raising(KeyboardInterrupt)
        raise SystemExit

    rows.on_append = interruption
    with pytest.raises(KeyboardInterrupt):
        reentry.put(b"1", MONTH, 0.0)
    before = list(rows.bodies)
    reentry.append_left()

    assert [] == before
    assert [b"2"] == rows.bodies
