"""Rejected rows as a listener keeps them: bounded, counted, and never replaced by newer ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audit_handler.errors import RejectedFull, SpoolError
from audit_handler.spool import DiskFiles, Files, MemoryFiles, Reason, RejectedRows, Spool
from audit_handler.status import RejectedUsage
from tests.support.spools import make_spool

ROWS = b'{"writer_id":"w","seq":2}\n{"writer_id":"w","seq":5}\n'
REASONS = [Reason(seq=2, code=27, text="no number"), Reason(seq=5, code=53, text="no date")]


class CountingFiles(DiskFiles):
    """A disk that remembers what was read and listed."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def read(self, path: Path, *, is_synced: bool = False) -> bytes:
        self.calls.append(path.name)
        return super().read(path, is_synced=is_synced)


def size_of_batch(directory: Path) -> int:
    """Return the bytes that one batch of ROWS takes."""
    spool = make_spool(directory / "trial")
    spool.rejected.write("w", 1, 9, ROWS, REASONS)
    return spool.rejected.usage.bytes


def bounded(
    directory: Path, max_bytes: int, files: Files | None = None
) -> tuple[Spool, list[SpoolError]]:
    refused: list[SpoolError] = []
    spool = make_spool(
        directory / "target", files=files, max_rejected_bytes=max_bytes, on_refused=refused.append
    )
    return spool, refused


def contents(spool: Spool) -> dict[str, bytes]:
    directory = spool.target_directory / "rejected"
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_batches_are_kept_up_to_the_last_byte_of_the_limit(tmp_path: Path) -> None:
    spool, refused = bounded(tmp_path, 2 * size_of_batch(tmp_path))
    kept = [spool.rejected.write(f"w{n}", 1, 9, ROWS, REASONS) for n in range(3)]

    assert [True, True, False] == [path is not None for path in kept]
    assert [2] == [exc.rows for exc in refused if isinstance(exc, RejectedFull)]


def test_the_oldest_batches_stay_when_there_is_no_space(tmp_path: Path) -> None:
    spool, _refused = bounded(tmp_path, size_of_batch(tmp_path))
    spool.rejected.write("w", 1, 9, ROWS, REASONS)
    before = contents(spool)
    spool.rejected.write("w", 10, 19, ROWS, REASONS)

    assert ["w-1-9.error.json", "w-1-9.ndjson"] == sorted(before)
    assert before == contents(spool)


def test_the_refusal_names_the_directory_the_limit_and_the_remedies(tmp_path: Path) -> None:
    size = size_of_batch(tmp_path)
    spool, refused = bounded(tmp_path, size)
    for first in (1, 10):
        spool.rejected.write("w", first, first + 8, ROWS, REASONS)

    text = str(refused[0])
    assert f"{tmp_path}/target/rejected holds {size} of max_rejected_bytes={size}" in text
    for remedy in ("audit-handler replay", "audit-handler spool export", "raise max_rejected"):
        assert remedy in text
    assert "no number" not in text


def test_a_batch_that_is_written_again_after_a_crash_does_not_count_twice(tmp_path: Path) -> None:
    spool, refused = bounded(tmp_path, size_of_batch(tmp_path))
    for _ in range(2):
        assert spool.rejected.write("w", 1, 9, ROWS, REASONS) is not None

    assert [] == refused


def test_zero_keeps_no_row(tmp_path: Path) -> None:
    spool, refused = bounded(tmp_path, 0)

    assert spool.rejected.write("w", 1, 9, ROWS, REASONS) is None
    assert 1 == len(refused)
    assert not (tmp_path / "target" / "rejected").exists()


def test_there_is_space_again_after_a_replay(tmp_path: Path) -> None:
    spool, _refused = bounded(tmp_path, size_of_batch(tmp_path))
    spool.rejected.write("w", 1, 9, ROWS, REASONS)
    replayed = RejectedRows(DiskFiles(), tmp_path / "target")
    replayed.remove(replayed.batches()[0])

    assert spool.rejected.write("w", 10, 19, ROWS, REASONS) is not None


@pytest.mark.parametrize("files", [DiskFiles(), MemoryFiles()], ids=["disk", "memory"])
def test_rows_bytes_and_age_of_what_is_kept_are_known(tmp_path: Path, files: Files) -> None:
    rejected = make_spool(tmp_path / "target", files=files).rejected
    before = rejected.refresh()
    rejected.write("w", 1, 9, ROWS, REASONS)
    rejected.write("w", 10, 19, ROWS[:26], REASONS[:1])
    directory = tmp_path / "target" / "rejected"
    sizes = [file.size for file in files.found(directory).values()]
    times = [files.modified(directory / f"w-{name}.ndjson") for name in ("1-9", "10-19")]

    assert RejectedUsage() == before
    assert RejectedUsage(rows=3, bytes=sum(sizes), since=min(times)) == rejected.usage
    assert min(times) > 0.0


def test_batches_of_other_processes_are_counted(tmp_path: Path) -> None:
    spool, other = make_spool(tmp_path / "target"), make_spool(tmp_path / "target")
    other.rejected.write("other", 1, 9, ROWS, REASONS)

    assert 2 == spool.rejected.refresh().rows


def test_only_what_has_changed_is_read_again(tmp_path: Path) -> None:
    files = CountingFiles()
    rejected = make_spool(tmp_path / "target", files=files).rejected
    for first in (1, 10):
        rejected.write("w", first, first + 8, ROWS, REASONS)
    files.calls.clear()
    rejected.refresh()
    unchanged = list(files.calls)
    path = tmp_path / "target" / "rejected" / "w-1-9.ndjson"
    path.write_bytes(ROWS[:26])
    os.utime(path.parent, (1, 1))
    usage = rejected.refresh()

    assert [] == unchanged
    assert ["w-1-9.ndjson"] == files.calls
    assert 3 == usage.rows


def test_a_directory_that_cannot_be_read_keeps_the_last_numbers(tmp_path: Path) -> None:
    class Failing(DiskFiles):
        is_failing = False

        def modified(self, path: Path) -> float:
            if self.is_failing:
                raise PermissionError(13, "Permission denied")
            return super().modified(path)

    files = Failing()
    rejected = make_spool(tmp_path / "target", files=files).rejected
    rejected.write("w", 1, 9, ROWS, REASONS)
    files.is_failing = True

    assert 2 == rejected.refresh().rows
