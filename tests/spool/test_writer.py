"""The writer: numbers rows, and seals segments with bounded rows, bytes and months."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from audit_handler.errors import SpoolUnavailable
from audit_handler.spool import DiskFiles, Segment, Spool
from audit_handler.spool import _writer as writer_module
from audit_handler.spool._open_segment import MAX_MONTHS
from tests.support.disks import RefusingFiles
from tests.support.spools import MONTH, make_spool, numbers, put_numbers, take_all


def test_a_line_carries_the_writer_and_counts_from_one(spool: Spool) -> None:
    put_numbers(spool, 7, 9)
    segment = spool.get(0.0)
    assert segment is not None
    lines = [json.loads(line) for line in spool.files.read(segment.path).splitlines()]

    assert [
        {"writer_id": segment.writer_id, "seq": seq, "n": seq + 6} for seq in (1, 2, 3)
    ] == lines


def test_a_full_segment_is_ready_at_once_and_says_which_rows_it_has(spool: Spool) -> None:
    put_numbers(spool, 1, 6)
    spool.get(0.0)
    spool.task_done()

    segment = spool.get(0.0)

    assert segment is not None
    assert (segment.first_seq, segment.last_seq, segment.rows) == (4, 6, 3)
    assert segment.size == len(spool.files.read(segment.path))


def test_a_segment_never_exceeds_its_bytes(tmp_path: Path) -> None:
    spool = make_spool(tmp_path, batch_size=10_000, batch_bytes=10_000)
    for _ in range(50):
        spool.put(b'{"x":"%b"}' % (b"y" * 900), MONTH)
    sizes = []
    while segment := spool.get(10.0):
        sizes.append(segment.size)
        spool.task_done()

    assert max(sizes) <= 10_000
    assert 5 <= len(sizes) <= 6


def put_months(spool: Spool, months: Iterable[int]) -> None:
    for number, month in enumerate(months, 1):
        spool.put(b'{"n":%d}' % number, f"{2000 + month // 12}-{month % 12 + 1:02}")


def segments_of(spool: Spool) -> list[list[int]]:
    found = []
    while segment := spool.get(10.0):
        found.append(numbers(spool, segment))
        spool.task_done()
    return found


def test_rows_that_alternate_between_two_months_share_a_segment(tmp_path: Path) -> None:
    spool = make_spool(tmp_path, batch_size=1_000, batch_bytes=10**6)
    put_months(spool, [0, 1] * 500)

    assert [list(range(1, 1_001))] == segments_of(spool)


def test_a_row_of_one_month_too_many_begins_the_next_segment(tmp_path: Path) -> None:
    """ClickHouse limits the partitions of one insert, and each month is a partition."""
    spool = make_spool(tmp_path, batch_size=1_000, batch_bytes=10**6)
    put_months(spool, [*range(MAX_MONTHS), 0, MAX_MONTHS - 1, MAX_MONTHS, 0])

    assert [
        list(range(1, MAX_MONTHS + 3)),
        [MAX_MONTHS + 3, MAX_MONTHS + 4],
    ] == segments_of(spool)


def test_a_writer_that_cannot_seal_releases_its_rows_at_close(tmp_path: Path) -> None:
    class ReadOnly(DiskFiles):
        is_broken = False

        def rename(self, old: Path, new: Path) -> None:
            if self.is_broken:
                raise OSError(30, "Read-only file system")
            super().rename(old, new)

    files = ReadOnly()
    spool = make_spool(tmp_path, files=files)
    put_numbers(spool, 1, 2)
    files.is_broken = True
    spool.close()
    files.is_broken = False
    heir = make_spool(tmp_path, files=files)

    assert 2 == heir.adopt()
    assert [1, 2] == take_all(heir)


@pytest.mark.parametrize("is_taken", [False, True])
def test_a_seal_that_is_interrupted_hands_its_segment_over_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_taken: bool
) -> None:
    """The segment was counted as handed over too early, and was never delivered."""
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


def test_the_name_of_a_segment_is_synced_before_its_first_row_is_accepted(tmp_path: Path) -> None:
    disk = RefusingFiles()
    spool = make_spool(tmp_path, files=disk, fsync="always", batch_size=1)
    put_numbers(spool, 1, 1)
    assert spool._intake.writer is not None
    directory = spool._intake.writer.directory.path
    disk.directories, disk.path = 1, directory
    before = disk.synced.count(directory)
    with pytest.raises(SpoolUnavailable):
        put_numbers(spool, 2, 2)
    put_numbers(spool, 3, 3)

    assert before + 1 == disk.synced.count(directory)
    assert [1, 3] == take_all(spool)
