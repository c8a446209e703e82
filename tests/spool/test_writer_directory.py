"""The writer's directory: claimed, locked, created again, removed."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from audit_handler.errors import SpoolUnavailable
from audit_handler.spool import DiskFiles
from tests.support.disks import RefusingFiles
from tests.support.spools import make_spool, numbers, put_numbers, take_all


def test_close_removes_the_directory_when_nothing_waits(tmp_path: Path) -> None:
    spool = make_spool(tmp_path / "target")
    put_numbers(spool, 1, 4)
    take_all(spool)

    spool.close()

    assert list((tmp_path / "target").iterdir()) == []


@pytest.mark.parametrize("fsync", ["never", "always"])
def test_a_removed_directory_is_created_and_locked_again(tmp_path: Path, fsync: str) -> None:
    """The rows in it are lost, as the listener will report; later rows are safe."""
    spool = make_spool(tmp_path / "spool" / "target", fsync=fsync)
    put_numbers(spool, 1, 3)
    shutil.rmtree(tmp_path / "spool")
    put_numbers(spool, 4, 6)
    other = make_spool(tmp_path / "spool" / "target")
    removed, there = spool.get(0.0), spool.get(0.0)
    assert removed
    assert there

    assert (1, 4) == (removed.first_seq, there.first_seq)
    assert not removed.path.exists()
    assert [4, 5, 6] == numbers(spool, there)
    assert 0 == other.adopt()
    assert 0o700 == stat.S_IMODE(there.path.parent.stat().st_mode)


def test_a_directory_that_cannot_be_created_is_named_with_the_remedy(tmp_path: Path) -> None:
    target = tmp_path / "target"
    spool = make_spool(target)
    target.rmdir()
    target.write_text("a file where a directory should be")

    with pytest.raises(SpoolUnavailable, match=r"spool_dir.*writable local directory"):
        put_numbers(spool, 1, 1)


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_new_directory_that_looks_like_a_dead_writers_loses_no_row(
    tmp_path: Path, is_removed: bool
) -> None:
    """The suite found it on Python 3.12: our own listener looked between the mkdir and the lock."""

    class ContendedFiles(DiskFiles):
        robbed: int = 0

        def lock(self, path: Path) -> Any:
            if self.robbed < 3:
                self.robbed += 1
                if is_removed:
                    path.parent.rmdir()
                else:
                    return None
            return super().lock(path)

    files = ContendedFiles()
    spool = make_spool(tmp_path, files=files)
    put_numbers(spool, 1, 2)

    assert [1, 2] == take_all(spool)
    assert files.robbed == 3


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_a_directory_that_cannot_be_synced_leaks_nothing(tmp_path: Path) -> None:
    disk = RefusingFiles(directories=5, path=tmp_path / "target")
    spool = make_spool(tmp_path / "target", files=disk, fsync="always")
    before = open_files()
    for _ in range(5):
        with pytest.raises(SpoolUnavailable, match="Invalid argument"):
            put_numbers(spool, 1, 1)

    assert before == open_files()
    assert [] == list((tmp_path / "target").iterdir())
    put_numbers(spool, 1, 1)
    assert [1] == take_all(spool)


def test_directories_of_other_users_need_no_sync(tmp_path: Path) -> None:
    disk = RefusingFiles(directories=1, path=Path(tmp_path.anchor))
    spool = make_spool(tmp_path, files=disk, fsync="always")
    put_numbers(spool, 1, 1)

    assert 0 == disk.directories
    assert [1] == take_all(spool)


def test_the_name_of_a_directory_that_was_created_again_is_synced_in_the_end(
    tmp_path: Path,
) -> None:
    target = tmp_path / "target"
    disk = RefusingFiles()
    spool = make_spool(target, files=disk, fsync="always", batch_size=1)
    put_numbers(spool, 1, 1)
    assert spool._intake.writer is not None
    shutil.rmtree(spool._intake.writer.directory.path)
    before = disk.synced.count(target)
    disk.directories, disk.path = 1, target
    with pytest.raises(SpoolUnavailable):
        put_numbers(spool, 2, 2)
    put_numbers(spool, 3, 3)

    assert before + 1 == disk.synced.count(target)
