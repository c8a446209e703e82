"""Files in memory behave like files on a disk."""

from __future__ import annotations

from pathlib import Path

from audit_handler.spool import (
    MemoryFiles,
)


def test_a_lock_in_memory_is_held_by_one(tmp_path: Path) -> None:
    """A spool that was closed in the middle of a request still holds what the next one finds."""
    files = MemoryFiles()
    lock = files.lock(tmp_path / "lock")
    assert lock is not None
    is_taken = files.lock(tmp_path / "lock") is None
    lock.release()

    assert is_taken
    assert files.lock(tmp_path / "lock") is not None
