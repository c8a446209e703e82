"""Recovery: the segments of dead processes are found, repaired and made deliverable."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from audit_handler._ids import new_writer_id
from audit_handler.spool import DiskFiles, has_leftovers, neglected_targets
from tests.support.spools import leave_behind, make_spool, put_numbers, take_all


def test_rows_of_a_living_process_are_left_alone(tmp_path: Path) -> None:
    living, other = make_spool(tmp_path), make_spool(tmp_path)
    put_numbers(living, 1, 5)

    assert other.adopt() == 0
    assert list(range(1, 6)) == take_all(living)


@pytest.mark.parametrize("torn", [b'{"writer_id":"x","seq":5,"n"', b"{", b""])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    dead = make_spool(tmp_path)
    put_numbers(dead, 1, 4)
    (opened,) = tmp_path.rglob("*.open")
    with opened.open("ab") as file:
        file.write(torn)
    leave_behind(dead)
    heir = make_spool(tmp_path)

    assert heir.adopt() == 4
    assert take_all(heir) == [1, 2, 3, 4]


def test_an_adopted_segment_remembers_that_it_was_attempted(tmp_path: Path) -> None:
    dead = make_spool(tmp_path)
    put_numbers(dead, 1, 6)
    segment = dead.get(0.0)
    assert segment is not None
    dead.taken.attempting(segment)
    leave_behind(dead)
    heir = make_spool(tmp_path)
    heir.adopt()
    attempted = []
    while adopted := heir.get(0.0):
        attempted.append(adopted.was_attempted)
        heir.task_done()

    assert attempted == [True, False]


def test_links_in_the_spool_are_not_followed(tmp_path: Path) -> None:
    """Any user who may write there could otherwise have any file sent, cut or removed."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "00000000000000000001.ready").write_bytes(b'{"secret":1}\ntorn')
    target = tmp_path / "target"
    dead = make_spool(target)
    put_numbers(dead, 1, 1)
    leave_behind(dead)
    (target / new_writer_id()).symlink_to(elsewhere)
    (next(target.glob("*/lock")).parent / "00000000000000000009.ready").symlink_to(
        elsewhere / "00000000000000000001.ready"
    )
    heir = make_spool(target)

    assert heir.adopt() == 1
    assert [1] == take_all(heir)
    assert [b'{"secret":1}\ntorn'] == [path.read_bytes() for path in elsewhere.iterdir()]


@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES])
def test_a_dead_writer_that_cannot_be_read_holds_up_no_other(
    error: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class BadSector(DiskFiles):
        def read(self, path: Path, *, is_synced: bool = False) -> bytes:
            if bad in path.parents:
                raise OSError(error, os.strerror(error), str(path))
            return super().read(path, is_synced=is_synced)

    first, second = make_spool(tmp_path), make_spool(tmp_path)
    for spool in (first, second):
        put_numbers(spool, 1, 2)
        leave_behind(spool)
    assert first._intake.writer is not None
    bad = first._intake.writer.directory.path
    heir = make_spool(tmp_path, files=BadSector())
    adopted = [heir.adopt(), heir.adopt()]

    assert [2, 0] == adopted
    assert 1 == caplog.text.count("cannot be read")
    assert make_spool(tmp_path).adopt() == 2


def test_a_segment_that_cannot_be_read_holds_up_no_other_of_its_writer(tmp_path: Path) -> None:
    class BadSector(DiskFiles):
        is_bad = True

        def read(self, path: Path, *, is_synced: bool = False) -> bytes:
            if self.is_bad and path.stem.endswith("01"):
                raise OSError(errno.EIO, "Input/output error", str(path))
            return super().read(path, is_synced=is_synced)

    dead, files = make_spool(tmp_path), BadSector()
    put_numbers(dead, 1, 9)
    leave_behind(dead)
    heir = make_spool(tmp_path, files=files)
    heir.adopt()
    taken = take_all(heir)
    files.is_bad = False
    heir.adopt()

    assert [4, 5, 6, 7, 8, 9] == taken
    assert [1, 2, 3] == take_all(heir)


def test_files_without_a_writers_name_are_left_alone(tmp_path: Path) -> None:
    """An operator's copy would be stored twice, and files beside the segments removed."""
    dead = make_spool(tmp_path)
    put_numbers(dead, 1, 3)
    leave_behind(dead)
    assert dead._intake.writer is not None
    directory = dead._intake.writer.directory.path
    shutil.copytree(directory, tmp_path / "backup")
    shutil.copy(
        directory / "00000000000000000001.ready", directory / "00000000000000000001 (copy).ready"
    )
    (directory / "notes.txt").write_text("keep me")
    heir = make_spool(tmp_path)

    assert 3 == heir.adopt()
    assert [1, 2, 3] == take_all(heir)
    assert "keep me" == (directory / "notes.txt").read_text()
    assert (tmp_path / "backup" / "00000000000000000001.ready").exists()


def test_a_segment_with_a_hole_is_quarantined_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A power loss may leave a block of zeros: the numbers of later rows would be wrong."""
    dead = make_spool(tmp_path)
    put_numbers(dead, 1, 6)
    leave_behind(dead)
    assert dead._intake.writer is not None
    first, second = sorted(dead._intake.writer.directory.path.glob("*.ready"))
    content = first.read_bytes()
    line = len(content) // 3
    first.write_bytes(content[:line] + bytes(line) + content[2 * line :])
    heir = make_spool(tmp_path)

    assert 3 == heir.adopt()
    assert [4, 5, 6] == take_all(heir)
    assert "is damaged" in caplog.text
    assert first.with_suffix(".unreadable").exists()
    assert not second.exists()


def test_a_quarantined_segment_is_not_read_again(tmp_path: Path) -> None:
    """Every process locked its directory every five seconds, forever."""
    directory = tmp_path / new_writer_id()
    directory.mkdir()
    (directory / "00000000000000000001.unreadable").write_bytes(b"{}\n")
    heir = make_spool(tmp_path)

    assert 0 == heir.adopt()
    assert ["00000000000000000001.unreadable"] == [path.name for path in directory.iterdir()]
    assert not has_leftovers(DiskFiles(), tmp_path)


def test_a_lock_of_another_target_that_cannot_be_opened_is_skipped(tmp_path: Path) -> None:
    other = tmp_path / "other" / new_writer_id()
    other.mkdir(parents=True)
    (other / "lock").symlink_to(other / "lock")
    (other / "00000000000000000001.ready").write_bytes(b"{}\n")

    assert [] == neglected_targets(DiskFiles(), tmp_path / "target")
