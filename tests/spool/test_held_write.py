"""Writes that hold the interpreter lock: when they do, and that they write the same."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from audit_handler.spool._held_write import HeldWrite, held_write_of

ROW = b'{"n":1}\n'


class Disk:
    """A clock, and a write(2) that notes its rows and takes *seconds*."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.seconds = 0.0
        self.held: list[bytes] = []

    def write(self, handle: int, data: bytes, size: int) -> int:
        self.now += self.seconds
        self.held.append(data)
        return os.write(handle, data[:size])

    def monotonic(self) -> float:
        return self.now

    @contextmanager
    def late(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> Iterator[None]:
        """Let `os.write` take *seconds*."""
        write = os.write

        def late(handle: int, data: bytes) -> int:
            self.now += seconds
            return write(handle, data)

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", late)
            yield


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def held_write(disk: Disk) -> HeldWrite:
    return HeldWrite(disk.write, disk.monotonic)


@pytest.fixture
def real(tmp_path: Path) -> HeldWrite:
    """A `HeldWrite` that holds the next writes."""
    held_write = held_write_of(tmp_path)
    if held_write is None:
        pytest.skip("the temporary directory is on no local disk of Linux")
    held_write.note_contention()
    return held_write


class File:
    """An open file."""

    def __init__(self, handle: int) -> None:
        self.handle = handle


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    handle = os.open(tmp_path / "rows", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    yield File(handle)
    os.close(handle)


def test_the_lock_is_held_for_ten_seconds_after_a_thread_had_to_wait(
    disk: Disk, held_write: HeldWrite, file: File
) -> None:
    held_write.append(file, b"before\n")
    held_write.note_contention()
    held_write.append(file, b"then\n")
    disk.now += 9.9
    held_write.append(file, b"still\n")
    disk.now += 0.2
    held_write.append(file, b"after\n")

    assert [b"then\n", b"still\n"] == disk.held
    assert b"before\nthen\nstill\nafter\n" == os.pread(file.handle, 100, 0)


def test_a_write_that_comes_back_late_is_taken_for_a_wait(
    disk: Disk, held_write: HeldWrite, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disk.late(monkeypatch, 0.005):
        held_write.append(file, ROW)
    held_write.append(file, ROW)

    assert [ROW] == disk.held


def test_after_a_slow_disk_the_lock_is_let_go_for_ten_seconds(
    disk: Disk, held_write: HeldWrite, file: File
) -> None:
    held_write.note_contention()
    disk.seconds = 0.006
    held_write.append(file, b"slow\n")
    disk.seconds = 0.0
    held_write.note_contention()
    held_write.append(file, b"let go\n")
    disk.now += 10.0
    held_write.note_contention()
    held_write.append(file, b"held again\n")

    assert [b"slow\n", b"held again\n"] == disk.held


def test_the_lock_is_let_go_for_longer_after_each_slow_write(
    disk: Disk, held_write: HeldWrite, file: File
) -> None:
    """A disk that is throttled has quick writes and slow ones, each of which stops all threads."""
    disk.seconds = 0.006
    slow: list[float] = []
    while len(slow) < 9:
        before = len(disk.held)
        held_write.note_contention()
        held_write.append(file, ROW)
        if len(disk.held) > before:
            slow.append(disk.now)
        disk.now += 1.0
    waits = [later - earlier for earlier, later in pairwise(slow)]

    assert [10, 20, 40, 80, 160, 320, 600, 600] == [int(wait // 10 * 10) for wait in waits]


def test_the_wait_for_a_slow_disk_is_short_again_after_ten_quick_minutes(
    disk: Disk, held_write: HeldWrite, file: File
) -> None:
    def is_held() -> bool:
        before = len(disk.held)
        held_write.note_contention()
        held_write.append(file, ROW)
        return len(disk.held) > before

    disk.seconds = 0.006
    for _ in range(2):
        held_write.note_contention()
        held_write.append(file, ROW)
        disk.now += 25.0
    disk.now += 605.0
    assert is_held()
    disk.seconds = 0.0
    disk.now += 11.0

    assert is_held()


def test_a_write_that_stalls_without_the_lock_is_a_slow_disk(
    disk: Disk, held_write: HeldWrite, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disk.late(monkeypatch, 1.0):
        held_write.append(file, ROW)
    disk.now += 9.0
    held_write.note_contention()
    held_write.append(file, ROW)

    assert [] == disk.held


def test_a_long_row_lets_the_lock_go(disk: Disk, held_write: HeldWrite, file: File) -> None:
    held_write.note_contention()

    assert 100_000 == held_write.append(file, b"x" * 100_000)
    assert [] == disk.held


def test_a_failed_write_raises_the_error_of_the_system(real: HeldWrite) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        real.append(File(-1), ROW)


def test_no_other_thread_runs_during_a_held_write(real: HeldWrite, file: File) -> None:
    """A thread that computes took the lock at each write, and kept it for a switch interval."""
    # Its clock stands still: the machine may stop this process for longer than a slow disk takes.
    held_write = HeldWrite(real._held, lambda: 0.0)
    held_write.note_contention()
    is_over = threading.Event()
    turns = 0

    def run() -> None:
        nonlocal turns
        while not is_over.is_set():
            turns += 1
            time.sleep(0.0001)  # ready again a moment later, and without the lock until then

    interval = sys.getswitchinterval()
    running = threading.Thread(target=run, daemon=True)
    running.start()
    try:
        # Longer than the test: threads switch only where one gives the lock up.
        sys.setswitchinterval(60.0)
        before = turns
        for _ in range(2_000):
            held_write.append(file, ROW)
        during_held = turns - before
        while turns == before:
            os.write(file.handle, ROW)
    finally:
        sys.setswitchinterval(interval)
        is_over.set()
        running.join(60.0)

    assert 0 == during_held


def test_rows_are_the_same(real: HeldWrite, file: File) -> None:
    rows = [b"", b"\0\n", "äöü\n".encode(), b"x" * 65_536]

    assert [len(row) for row in rows] == [real.append(file, row) for row in rows]
    assert b"".join(rows) == os.pread(file.handle, 100_000, 0)


def test_no_write_is_held_on_a_file_system_that_is_no_local_disk() -> None:
    assert held_write_of(Path("/proc")) is None


def test_no_write_is_held_in_a_directory_that_is_gone(tmp_path: Path) -> None:
    assert held_write_of(tmp_path / "gone") is None


def test_no_write_is_held_where_ctypes_is_missing_or_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ctypes", None)

    assert held_write_of(tmp_path) is None


def test_no_write_is_held_on_another_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    assert held_write_of(tmp_path) is None


def test_no_write_is_held_where_there_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)

    assert held_write_of(tmp_path) is None


@pytest.mark.parametrize(("is_held", "call"), [(False, 1), (True, 1), (True, 2)])
def test_a_file_that_is_closed_on_top_of_a_write_is_not_written_to(
    real: HeldWrite, file: File, is_held: bool, call: int
) -> None:
    """
    A signal handler forks, and the child closes the parent's file and goes on: its row went to the
    file that had the number by then, one of the application.
    """
    calls, handle = 0, file.handle

    def interrupted() -> float:
        nonlocal calls
        calls += 1
        if calls == call:
            file.handle = -1
        return 0.0

    held_write = HeldWrite(real._held, interrupted)
    if is_held:
        held_write._held_until = 1.0
    calls, file.handle = 0, handle

    with pytest.raises(OSError, match="Bad file descriptor"):
        held_write.append(file, ROW)
    assert b"" == os.pread(handle, 100, 0)
