"""The taken segment: marked before an insert, removed after it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from audit_handler.spool import DiskFiles, SegmentGone, SegmentUnreadable
from tests.support.disks import RefusingFiles
from tests.support.spools import make_spool, put_numbers


def test_a_segment_is_given_out_until_it_is_done(tmp_path: Path) -> None:
    spool = make_spool(tmp_path)
    put_numbers(spool, 1, 3)
    segment = spool.get(0.0)
    assert segment is not None

    assert segment.path.exists()
    spool.task_done()
    assert not segment.path.exists()


def test_an_attempted_segment_is_marked_on_disk(tmp_path: Path) -> None:
    spool = make_spool(tmp_path, fsync="batch")
    put_numbers(spool, 1, 3)
    segment = spool.get(0.0)
    assert segment is not None

    attempted, content = spool.taken.attempting(segment)

    assert (segment.was_attempted, attempted.was_attempted) == (False, True)
    assert [p.suffix for p in attempted.path.parent.glob("0*")] == [".sending"]
    assert (attempted, content) == spool.taken.attempting(attempted)


def test_a_segment_that_was_renamed_by_a_call_that_failed_later_is_found(tmp_path: Path) -> None:
    disk = RefusingFiles()
    spool = make_spool(tmp_path, files=disk, fsync="batch")
    put_numbers(spool, 1, 3)
    segment = spool.get(0.0)
    assert segment is not None
    disk.directories, disk.path = 1, segment.path.parent
    with pytest.raises(OSError, match="Invalid argument"):
        spool.taken.attempting(segment)
    attempted, content = spool.taken.attempting(segment)
    spool.task_done()

    assert attempted.was_attempted
    assert 3 == content.count(b"\n")
    assert not attempted.path.exists()


def test_a_segment_that_was_removed_is_gone(tmp_path: Path) -> None:
    spool = make_spool(tmp_path)
    put_numbers(spool, 1, 3)
    segment = spool.get(0.0)
    assert segment is not None
    segment.path.unlink()

    with pytest.raises(SegmentGone):
        spool.taken.attempting(segment)


@pytest.mark.parametrize("can_be_read", [True, False])
def test_a_segment_that_cannot_be_synced_is_sent_if_it_can_be_read(
    tmp_path: Path, can_be_read: bool
) -> None:
    class BadSector(DiskFiles):
        def read(self, path: Path, *, is_synced: bool = False) -> bytes:
            if is_synced or not can_be_read:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(path)

    spool = make_spool(tmp_path, files=BadSector(), fsync="batch")
    put_numbers(spool, 1, 3)
    segment = spool.get(0.0)
    assert segment is not None
    if can_be_read:
        assert 3 == spool.taken.attempting(segment)[1].count(b"\n")
    else:
        with pytest.raises(SegmentUnreadable, match="Input/output error"):
            spool.taken.attempting(segment)


@pytest.mark.parametrize("left", [b"", b"{}\n", b"{}\n" * 300], ids=["none", "less", "more"])
def test_a_segment_that_another_program_changed_is_not_sent(tmp_path: Path, left: bytes) -> None:
    """The engine counts the rows of a file as all of them, and they were gone."""
    spool = make_spool(tmp_path)
    put_numbers(spool, 1, 3)
    segment = spool.get(0.0)
    assert segment is not None
    segment.path.write_bytes(left)

    with pytest.raises(SegmentUnreadable, match=f"has {len(left)} bytes of {segment.size}"):
        spool.taken.attempting(segment)


@pytest.mark.parametrize("was_attempted", [False, True])
def test_a_quarantined_segment_keeps_its_rows_and_is_not_adopted(
    tmp_path: Path, was_attempted: bool
) -> None:
    spool = make_spool(tmp_path)
    put_numbers(spool, 1, 3)
    segment = spool.get(0.0)
    assert segment is not None
    if was_attempted:
        spool.taken.attempting(segment)
    path = spool.taken.give_up(segment)
    spool.task_done()
    spool.close()

    assert "00000000000000000001.unreadable" == path.name
    assert 3 == path.read_bytes().count(b"\n")
    assert 0 == make_spool(tmp_path).adopt()


def test_a_helper_file_stands_beside_its_segment(tmp_path: Path) -> None:
    spool = make_spool(tmp_path)
    put_numbers(spool, 1, 3)
    segment = spool.get(0.0)
    assert segment is not None
    path = spool.taken.helper_file(segment, "part.ndjson", b"{}\n")

    assert segment.path.with_name("part.ndjson") == path
    assert b"{}\n" == path.read_bytes()
