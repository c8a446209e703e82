"""Rows that wait for one target are sent to another."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from audit_handler._operations.move import Delivered, deliver, remove_target, rename_target
from audit_handler.errors import DataError, SpoolError, TransientError
from audit_handler.spool import DiskFiles
from tests.support.delivery import refuse_rows
from tests.support.doubles import ScriptedDestination
from tests.support.spools import leave_behind, make_spool, put_numbers


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The directory of a target with three rows of a process that has ended."""
    directory = tmp_path / "old"
    spool = make_spool(directory)
    put_numbers(spool, 1, 3)
    leave_behind(spool)
    return directory


def test_rows_of_dead_writers_go_over_and_are_delivered(old: Path, tmp_path: Path) -> None:
    destination = ScriptedDestination()
    moved = rename_target(DiskFiles(), old, tmp_path / "new")
    delivered = deliver(DiskFiles(), tmp_path / "new", destination)
    remove_target(DiskFiles(), old)

    assert (3, Delivered(stored=3, rejected=0)) == (moved, delivered)
    assert 3 == len(destination.rows)
    assert ["new"] == [path.name for path in tmp_path.iterdir()]
    assert [] == [path for path in (tmp_path / "new").rglob("*") if path.is_file()]


def test_a_second_move_finds_nothing(old: Path, tmp_path: Path) -> None:
    rename_target(DiskFiles(), old, tmp_path / "new")

    assert 0 == rename_target(DiskFiles(), old, tmp_path / "new")


def test_rows_of_writers_that_live_stay(tmp_path: Path) -> None:
    living = make_spool(tmp_path / "old")
    put_numbers(living, 1, 2)
    moved = rename_target(DiskFiles(), tmp_path / "old", tmp_path / "new")
    remove_target(DiskFiles(), tmp_path / "old")

    assert 0 == moved
    assert 1 == len(list((tmp_path / "old").rglob("*.open")))
    living.close()


def test_rejected_rows_go_over_with_their_reasons(old: Path, tmp_path: Path) -> None:
    (old / "rejected").mkdir()
    (old / "rejected" / "w-1-2.ndjson").write_text("{}\n{}\n")
    (old / "rejected" / "w-1-2.error.json").write_text("{}")
    moved = rename_target(DiskFiles(), old, tmp_path / "new")
    remove_target(DiskFiles(), old)

    assert 5 == moved
    assert ["w-1-2.error.json", "w-1-2.ndjson"] == sorted(
        path.name for path in (tmp_path / "new" / "rejected").iterdir()
    )
    assert not old.exists()


def test_rejected_rows_stay_while_a_replay_runs(tmp_path: Path) -> None:
    rejected = tmp_path / "old" / "rejected"
    rejected.mkdir(parents=True)
    (rejected / "w-1-1.ndjson").write_text("{}\n")
    lock = DiskFiles().lock(rejected / "lock")
    assert lock is not None
    try:
        with pytest.raises(SpoolError, match="another replay is running"):
            rename_target(DiskFiles(), tmp_path / "old", tmp_path / "new")
    finally:
        lock.release()

    assert (rejected / "w-1-1.ndjson").exists()


def test_a_row_that_clickhouse_rejects_is_counted_and_the_others_are_stored(old: Path) -> None:
    destination = ScriptedDestination()
    destination.refuse = lambda lines: DataError("bad", row=None) if b'"n":2' in lines else None
    delivered = deliver(DiskFiles(), old, destination)

    assert Delivered(stored=2, rejected=1) == delivered
    assert 1 == len(list((old / "rejected").glob("*.ndjson")))


def test_a_segment_of_bad_rows_does_not_keep_those_behind_it(tmp_path: Path) -> None:
    spool = make_spool(tmp_path, batch_size=20)
    put_numbers(spool, 1, 40)
    leave_behind(spool)
    destination = ScriptedDestination()
    destination.refuse = refuse_rows(*range(1, 21))

    assert Delivered(stored=20, rejected=20) == deliver(DiskFiles(), tmp_path, destination)


def test_rows_wait_where_clickhouse_fails_and_are_stored_once_later(old: Path) -> None:
    destination = ScriptedDestination((TransientError("the answer was lost"), True))
    with pytest.raises(TransientError):
        deliver(DiskFiles(), old, destination)
    delivered = deliver(DiskFiles(), old, destination)

    assert 1 == len(destination.look_ups)
    assert 3 == len(destination.rows)
    assert 0 == delivered.rejected


class VanishingFiles(DiskFiles):
    """A disk from which another process removes each segment just before it is sent."""

    def rename(self, old: Path, new: Path) -> None:
        if new.suffix == ".sending":
            old.unlink()
        super().rename(old, new)


class FailingFiles(DiskFiles):
    """A disk that can read a segment for recovery, and not again."""

    def __init__(self) -> None:
        self.was_read: set[Path] = set()

    def read(self, path: Path, *, is_synced: bool = False) -> bytes:
        if path in self.was_read:
            raise OSError(errno.EIO, "Input/output error", str(path))
        self.was_read.add(path)
        return super().read(path, is_synced=is_synced)


@pytest.mark.parametrize(
    ("disk", "problem"),
    [
        (VanishingFiles, "was removed by another process before its 3 rows were acknowledged"),
        (FailingFiles, "the disk cannot read .*; its 3 rows were not sent"),
    ],
    ids=["removed", "unreadable"],
)
def test_a_segment_that_cannot_be_sent_is_named_with_its_rows(
    disk: type[DiskFiles], problem: str, old: Path
) -> None:
    """An exception that only the listener knows ended the command with a traceback."""
    destination = ScriptedDestination()
    with pytest.raises(SpoolError, match=problem):
        deliver(disk(), old, destination)

    assert [] == destination.tokens
