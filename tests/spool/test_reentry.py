"""Re-entry: a signal handler or finalizer that logs, flushes or raises on top of a call."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from audit_handler._clock import SystemClock
from audit_handler.errors import SpoolError, SpoolFull
from audit_handler.spool import (
    DiskFiles,
)
from tests.support.disks import InterruptedFiles, raising
from tests.support.doubles import SteppingClock
from tests.support.spools import MONTH, make_spool, put_numbers, take_all


def test_a_blocked_put_goes_on_when_there_is_room(tmp_path: Path) -> None:
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


def test_a_blocked_put_ends_at_its_bound(tmp_path: Path) -> None:
    clock = SteppingClock()
    spool = make_spool(tmp_path, clock=clock, max_bytes=60)
    put_numbers(spool, 1, 1)
    began = clock.now

    with pytest.raises(SpoolFull):
        spool.put(b'{"n":2}', MONTH, timeout=10.0)
    assert clock.now == pytest.approx(began + 10.0)


def test_a_row_put_on_top_of_another_put_is_taken_after_it(tmp_path: Path) -> None:
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


def test_a_row_put_by_a_signal_handler_that_then_raises_is_taken(tmp_path: Path) -> None:
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
def test_a_flush_on_top_of_a_put_only_answers(tmp_path: Path, moment: str) -> None:
    """
    It took the rows that were logged on top of the put while that was half done: numbers came
    twice, and rows were cut off.
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


def test_a_row_put_on_top_of_the_listeners_seal_is_taken(tmp_path: Path) -> None:
    """A finalizer runs on whatever thread the garbage is collected on."""
    files = InterruptedFiles()
    spool = make_spool(tmp_path, files=files, batch_size=100)
    put_numbers(spool, 1, 1)
    files.interruptions["after rename"] = lambda: put_numbers(spool, 2, 2)

    assert [1, 2] == take_all(spool)


def test_a_row_put_on_top_that_finds_no_room_is_told(tmp_path: Path) -> None:
    """Its call had returned; the one that it interrupted was told that its own row was refused."""
    files, refused = InterruptedFiles(), list[SpoolError]()
    spool = make_spool(tmp_path, files=files, max_bytes=70, on_refused=refused.append)
    files.interruptions["after write"] = lambda: put_numbers(spool, 2, 2)
    put_numbers(spool, 1, 1)

    assert [SpoolFull] == [type(error) for error in refused]
    assert [1] == take_all(spool)


def test_a_row_on_top_survives_an_interruption_of_its_own(tmp_path: Path) -> None:
    """Ctrl-C while the row of a signal handler was being taken: it was gone without a word."""
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

    spool = make_spool(tmp_path, files=SlowDisk(), fsync="always", batch_size=100)
    other = threading.Thread(target=put_numbers, args=(spool, 1, 1), daemon=True)
    other.start()
    assert is_syncing.wait(60.0)

    def flush_and_audit() -> None:
        with spool.lock:  # as in `flush`, and a signal handler on top of it
            threading.Timer(0.05, may_end.set).start()
            put_numbers(spool, 2, 2)

    flushing = threading.Thread(target=flush_and_audit, daemon=True)
    flushing.start()
    flushing.join(60.0)
    other.join(60.0)

    assert not flushing.is_alive()
    assert not other.is_alive()
    assert [1, 2] == take_all(spool)
