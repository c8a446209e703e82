"""The open segment: counts and file agree after each failed or interrupted write."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from audit_handler.errors import SpoolUnavailable
from audit_handler.spool import DiskFiles, MemoryFiles
from audit_handler.spool._open_segment import OpenSegment
from tests.support.disks import FaultyFiles, InterruptedFiles, raising
from tests.support.spools import MONTH, make_spool, put_numbers, take_all


@pytest.mark.parametrize("partial", [0, 1, 20])
def test_a_full_disk_loses_only_the_row_and_leaves_no_torn_line(
    tmp_path: Path, partial: int
) -> None:
    files = FaultyFiles()
    spool = make_spool(tmp_path, files=files)
    put_numbers(spool, 1, 1)
    files.partial = partial
    with pytest.raises(SpoolUnavailable, match="No space left"):
        put_numbers(spool, 2, 2)
    files.partial = None
    put_numbers(spool, 3, 3)

    assert take_all(spool) == [1, 3]


@pytest.mark.parametrize("is_written", [False, True])
def test_an_exception_in_the_middle_of_a_write_leaves_the_counts_right(
    tmp_path: Path, is_written: bool
) -> None:
    """
    Ctrl-C, or ``sys.exit`` in a SIGTERM handler, may come between the write and its count.
    """

    class InterruptedWrite(DiskFiles):
        is_armed = False

        def write(self, handle: int, data: bytes) -> int:  # type: ignore[override]  # DiskFiles.write is os.write itself
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


@pytest.mark.parametrize(("moment", "rows"), [("before write", [1, 3]), ("after write", [1, 2, 3])])
def test_a_signal_handlers_own_oserror_is_no_disk_failure(
    moment: str, rows: list[int], tmp_path: Path
) -> None:
    """
    ``raise TimeoutError`` for an alarm: the row was written, reported as failed, and written again.
    """
    files = InterruptedFiles()
    spool = make_spool(tmp_path, files=files, batch_size=10)
    put_numbers(spool, 1, 1)
    files.interruptions[moment] = raising(TimeoutError)
    with pytest.raises(TimeoutError):
        spool.put(b'{"n":2}', MONTH, timeout=60.0)
    put_numbers(spool, 3, 3)

    assert rows == take_all(spool)


# Without a spool


def open_segment(files: MemoryFiles, **given: Any) -> OpenSegment:
    path = Path("/w/00000000000000000007.open")
    fields: dict[str, Any] = {
        "path": path,
        "handle": files.create(path),
        "first_seq": 7,
        "bytes_before": 0,
        "month": MONTH,
        "opened": 0.0,
        "since": 0.0,
        **given,
    }
    return OpenSegment(files, **fields)


def test_an_empty_segment_ends_before_its_first_row() -> None:
    segment = open_segment(MemoryFiles())

    assert (0, 0, 6) == (segment.size, segment.rows, segment.last_seq)


def test_each_row_is_counted_and_written_at_the_end() -> None:
    files = MemoryFiles()
    segment = open_segment(files)
    appended = [segment.append(b"one\n"), segment.append(b"three\n")]

    assert [1, 2] == appended
    assert (10, 2, 8) == (segment.size, segment.rows, segment.last_seq)
    assert b"one\nthree\n" == files.read(segment.path)


@pytest.mark.parametrize(
    ("written", "counts"), [(b"", (4, 1)), (b"thr", (4, 1)), (b"three\n", (10, 2))]
)
def test_settling_counts_a_whole_row_and_cuts_off_a_part_of_one(
    written: bytes, counts: tuple[int, int]
) -> None:
    files = MemoryFiles()
    segment = open_segment(files)
    segment.append(b"one\n")
    segment.pending = len(b"three\n")
    files.write(segment.handle, written)
    segment.settle()

    assert counts == segment.counts
    assert 0 == segment.pending
    assert counts[0] == len(files.read(segment.path))


def test_the_next_settle_repairs_a_row_after_a_failed_write_and_repair() -> None:
    class Broken(MemoryFiles):
        is_broken = True

        def write(self, handle: int, data: bytes) -> int:
            super().write(handle, data[:2])
            raise OSError(5, "Input/output error")

        def size(self, handle: int) -> int:
            if self.is_broken:
                raise OSError(5, "Input/output error")
            return super().size(handle)

    files = Broken()
    segment = open_segment(files)
    with pytest.raises(OSError, match="Input/output"):
        segment.append(b"one\n")
    left = segment.pending
    files.is_broken = False
    segment.settle()

    assert 4 == left
    assert ((0, 0), 0) == (segment.counts, segment.pending)
    assert b"" == files.read(segment.path)


def test_a_segment_is_closed_once() -> None:
    closed: list[int] = []

    class Counting(MemoryFiles):
        def close(self, handle: int) -> None:
            super().close(handle)
            closed.append(handle)

    segment = open_segment(Counting())
    handle = segment.handle
    segment.close()
    segment.close()

    assert [handle] == closed
    assert -1 == segment.handle
