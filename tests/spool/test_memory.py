"""Files in memory behave like files on a disk."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from audit_handler.spool import MemoryFiles


def test_a_lock_in_memory_is_held_by_one(tmp_path: Path) -> None:
    """A spool that was closed during a request still holds the rows that the next spool finds."""
    files = MemoryFiles()
    lock = files.lock(tmp_path / "lock")
    assert lock is not None
    is_taken = files.lock(tmp_path / "lock") is None
    lock.release()

    assert is_taken
    assert files.lock(tmp_path / "lock") is not None


def test_a_file_outlives_its_handles() -> None:
    files, path = MemoryFiles(), Path("/target/writer/a")
    handle = files.create(path)
    other = files.duplicate(handle)
    files.write(handle, b"one")
    files.close(handle)
    files.write(other, b"two")
    files.close(other)

    assert b"onetwo" == files.read(path)
    with pytest.raises(FileExistsError):
        files.create(path)


def test_a_directory_has_the_names_below_it() -> None:
    files = MemoryFiles()
    for name in ("writer/b", "writer/a", "other/c"):
        files.close(files.create(Path("/target") / name))

    assert ["a", "b"] == files.names(Path("/target/writer"))
    assert ["other", "writer"] == files.names(Path("/target"))
    assert [] == files.names(Path("/elsewhere"))


def test_a_directory_has_the_sizes_and_times_of_its_files() -> None:
    files, path = MemoryFiles(), Path("/target/rejected/w-1-9.ndjson")
    before = time.time()
    handle = files.create(path)
    files.write(handle, b"rows")
    files.close(handle)
    found = files.found(path.parent)

    assert {path.name: (4, files.modified(path))} == found
    assert before <= files.modified(path) <= time.time()
    assert {} == files.found(path.parent.parent)


def test_a_renamed_file_has_only_its_new_name() -> None:
    files, old, new = MemoryFiles(), Path("/w/1.ready"), Path("/w/1.sending")
    files.write(files.create(old), b"rows")
    files.rename(old, new)

    assert b"rows" == files.read(new)
    for action in (files.read, files.unlink):
        with pytest.raises(FileNotFoundError):
            action(old)
    files.unlink(new)
    assert [] == files.names(Path("/w"))


def test_a_file_is_shortened_open_or_not() -> None:
    files, path = MemoryFiles(), Path("/w/1.open")
    handle = files.create(path)
    files.write(handle, b"123456")
    files.truncate(handle, 4)
    size = files.size(handle)
    files.cut(path, 2)

    assert 4 == size
    assert b"12" == files.read(path)
