"""
The spool under a thread that is interrupted: by a signal handler or finalizer that logs, flushes
or raises, at any moment.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit_handler.errors import SpoolError, SpoolFull
from audit_handler.spool import DiskFiles, Segment
from audit_handler.spool import _writer as writer_module
from tests.support.spools import MONTH, make_spool, put_numbers, take_all


class InterruptedFiles(DiskFiles):
    """A disk whose next call of one kind is interrupted, once, before or after it is done."""

    def __init__(self) -> None:
        super().__init__()
        self.interruptions: dict[str, Any] = {}

    def _interrupted(self, what: str) -> None:
        if interruption := self.interruptions.pop(what, None):
            interruption()

    def write(self, handle: int, data: bytes) -> int:  # type: ignore[override]
        self._interrupted("before write")
        written = os.write(handle, data)
        self._interrupted("after write")
        return written

    def sync(self, handle: int) -> None:
        self._interrupted("before sync")
        super().sync(handle)

    def duplicate(self, handle: int) -> int:
        self._interrupted("before duplicate")
        return super().duplicate(handle)

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self._interrupted("after rename")


def raising(error: type[BaseException]) -> Any:
    def interruption() -> None:
        raise error

    return interruption


def test_a_row_put_on_top_of_another_put_is_taken_after_it(tmp_path: Path) -> None:
    """
    A signal handler may log while the interrupted thread is inside ``put``: no deadlock, no mixed
    lines.
    """

    class InterruptingFiles(DiskFiles):
        def write(self, handle: int, data: bytes) -> int:  # type: ignore[override]
            if b'"n":1' in data:
                spool.put(b'{"n":2}', MONTH)
            return os.write(handle, data)

    spool = make_spool(tmp_path, files=InterruptingFiles())
    spool.put(b'{"n":1}', MONTH)

    assert take_all(spool) == [1, 2]


@pytest.mark.parametrize("is_written", [False, True])
def test_an_exception_in_the_middle_of_a_write_leaves_the_counts_right(
    tmp_path: Path, is_written: bool
) -> None:
    """
    Ctrl-C, or ``sys.exit`` in a SIGTERM handler, may hit between the write and the count of it.
    """

    class InterruptedWrite(DiskFiles):
        is_armed = False

        def write(self, handle: int, data: bytes) -> int:  # type: ignore[override]
            if self.is_armed:
                self.is_armed = False
                if is_written:
                    os.write(handle, data)
                raise KeyboardInterrupt
            return os.write(handle, data)

    files = InterruptedWrite()
    spool = make_spool(tmp_path, files=files, batch_size=10)
    put_numbers(spool, 1, 1)
    files.is_armed = True
    with pytest.raises(KeyboardInterrupt):
        put_numbers(spool, 2, 2)
    put_numbers(spool, 3, 3)
    segment = spool.get(10.0)
    assert segment is not None
    rows = [json.loads(line) for line in spool.files.read(segment.path).splitlines()]

    assert ([1, 2, 3] if is_written else [1, 3]) == [row["n"] for row in rows]
    assert list(range(1, len(rows) + 1)) == [row["seq"] for row in rows]
    assert segment.rows == len(rows)


def test_a_row_put_by_a_signal_handler_that_then_raises_is_taken(tmp_path: Path) -> None:
    """
    ``audit(...); sys.exit()`` in a SIGTERM handler: the call has returned, so the row is there.
    """

    class InterruptingFiles(DiskFiles):
        def write(self, handle: int, data: bytes) -> int:  # type: ignore[override]
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


@pytest.mark.parametrize("moment", ["before sync", "before duplicate"])
def test_a_row_put_on_top_of_a_sync_is_synced_too(tmp_path: Path, moment: str) -> None:
    """With a lock that is not reentrant, the process hung for ever."""
    files = InterruptedFiles()
    spool = make_spool(tmp_path, files=files, fsync="always", batch_size=100)
    files.interruptions[moment] = lambda: put_numbers(spool, 2, 2)
    caller = threading.Thread(target=put_numbers, args=(spool, 1, 1), daemon=True)
    caller.start()
    caller.join(60.0)

    assert not caller.is_alive()
    assert 2 == spool._intake.group_commit._synced_seq
    assert [1, 2] == take_all(spool)


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


@pytest.mark.parametrize("is_taken", [False, True])
def test_a_seal_that_is_interrupted_hands_its_segment_over_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_taken: bool
) -> None:
    """Before it was handed over it was said to be, and nobody delivered it."""
    spool = make_spool(tmp_path, batch_size=2)
    real: Callable[..., Any] = spool._queue.add if is_taken else Segment

    def interrupted(*args: Any, **fields: Any) -> Any:
        monkeypatch.undo()
        if is_taken:
            real(*args, **fields)
        raise KeyboardInterrupt

    put_numbers(spool, 1, 1)
    assert spool._intake.writer is not None
    if is_taken:
        monkeypatch.setattr(spool._intake.writer, "_on_sealed", interrupted)
    else:
        monkeypatch.setattr(writer_module, "Segment", interrupted)
    with pytest.raises(KeyboardInterrupt):
        put_numbers(spool, 2, 2)
    put_numbers(spool, 3, 3)

    assert [1, 2, 3] == take_all(spool)
    assert (0, 0) == (spool.waiting_rows, spool.waiting_bytes)


@pytest.mark.parametrize(("moment", "rows"), [("before write", [1, 3]), ("after write", [1, 2, 3])])
def test_a_signal_handlers_own_oserror_is_no_disk_failure(
    moment: str, rows: list[int], tmp_path: Path
) -> None:
    """``raise TimeoutError`` for an alarm: the row was written, refused, and written once more."""
    files = InterruptedFiles()
    spool = make_spool(tmp_path, files=files, batch_size=10)
    put_numbers(spool, 1, 1)
    files.interruptions[moment] = raising(TimeoutError)
    with pytest.raises(TimeoutError):
        spool.put(b'{"n":2}', MONTH, timeout=60.0)
    put_numbers(spool, 3, 3)

    assert rows == take_all(spool)


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
