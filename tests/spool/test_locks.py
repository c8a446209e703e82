"""Lock files: held by one owner, until it releases the lock or ends."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from audit_handler.spool._locks import take_lock


def open_files() -> set[str]:
    return {path.name for path in Path("/dev/fd").iterdir()}


def test_a_lock_is_held_by_one_owner_until_it_is_released(tmp_path: Path) -> None:
    lock = take_lock(tmp_path / "lock")
    assert lock is not None
    is_taken = take_lock(tmp_path / "lock") is None
    lock.release()

    assert is_taken
    assert take_lock(tmp_path / "lock") is not None


def test_a_lock_that_is_released_or_not_available_leaves_no_file_open(tmp_path: Path) -> None:
    before = open_files()
    lock = take_lock(tmp_path / "lock")
    assert lock is not None
    assert take_lock(tmp_path / "lock") is None
    lock.release()
    lock.release()

    assert before == open_files()


def test_a_disk_that_reports_an_error_at_the_release_ends_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener releases the locks of dead writers between two segments."""
    lock, close = take_lock(tmp_path / "lock"), os.close

    def close_and_fail(handle: int) -> None:
        close(handle)
        raise OSError(errno.EIO, "Input/output error")

    assert lock is not None
    with monkeypatch.context() as patched:
        patched.setattr(os, "close", close_and_fail)
        lock.release()

    again = take_lock(tmp_path / "lock")
    assert again is not None
    again.release()


def test_a_lock_in_a_removed_directory_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        take_lock(tmp_path / "removed" / "lock")


def test_a_lock_file_that_is_a_link_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="it is a link"):
        take_lock(tmp_path / "lock")
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_whose_file_was_replaced_while_it_was_opened_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The previous owner removes the file when it ends: a lock on that file has no effect."""
    real = os.open

    def replaced(path: Path, flags: int, mode: int) -> int:
        monkeypatch.undo()
        handle = real(path, flags, mode)
        path.unlink()
        path.touch()
        return handle

    before = open_files()
    monkeypatch.setattr(os, "open", replaced)

    assert take_lock(tmp_path / "lock") is None
    assert before == open_files()


PRELUDE = """
import os, sys
from pathlib import Path
from audit_handler.spool._locks import take_lock

path = Path(sys.argv[1])

class Child:
    '''A forked child that lives until `end`. It is ready: its fork hooks have run.'''
    def __init__(self):
        ready, is_ready = os.pipe()
        ended, self._end = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            os.close(self._end)
            os.write(is_ready, b"!")
            os.read(ended, 1)
            os._exit(0)
        os.read(ready, 1)

    def end(self):
        os.close(self._end)
        assert os.waitpid(self._child, 0)[1] == 0
"""


def run(program: str, path: Path) -> None:
    """Run a separate program: a fork of pytest's process would copy the locks of its threads."""
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(program), str(path)]
    subprocess.run(command, check=True, timeout=60)


def test_a_forked_child_does_not_keep_its_parents_lock(tmp_path: Path) -> None:
    run(
        """
        lock = take_lock(path)
        child = Child()
        os.close(lock._handle)  # As at the end of the parent, which unlocks nothing.
        assert take_lock(path) is not None
        child.end()
        """,
        tmp_path / "lock",
    )


def test_a_child_that_is_forked_while_a_lock_is_opened_does_not_keep_it(tmp_path: Path) -> None:
    """Another thread may have opened the file without noting its handle yet."""
    run(
        """
        real = os.open
        def forking(path, flags, mode):
            global child
            handle = real(path, flags, mode)
            child = Child()
            return handle
        os.open = forking
        lock = take_lock(path)
        os.open = real
        os.close(lock._handle)
        assert take_lock(path) is not None
        child.end()
        """,
        tmp_path / "lock",
    )


def test_a_release_in_a_forked_child_leaves_the_lock_with_the_parent(tmp_path: Path) -> None:
    run(
        """
        lock = take_lock(path)
        child = os.fork()
        if child == 0:
            lock.release()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert take_lock(path) is None
        """,
        tmp_path / "lock",
    )
