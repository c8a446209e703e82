"""Lock files: each is held by one process, until it is released or the process ends."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from audit_handler.spool._own import give_to_owner, open_own

__all__ = ["Lock", "take_lock"]


class Lock(Protocol):
    """A lock that is held until it is released or its process ends, however it ends."""

    def release(self) -> None:
        """
        Release the lock. Has no effect in a forked child: the parent keeps the lock. Raises no
        OSError: a closed file is unlocked, whatever the disk says.
        """


class _DescriptorLock:
    """
    A lock on an open file. It lasts until the file is closed, by us or by the end of the process.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def release(self) -> None:
        if self._handle in _handles:
            # Unlock before the close: a child that was just forked has the file open too.
            with suppress(OSError):
                fcntl.flock(self._handle, fcntl.LOCK_UN)
            _handles.discard(self._handle)
            with suppress(OSError):
                os.close(self._handle)


_handles: set[int] = set()
# Paths that a thread is opening; it has no handle yet. No lock guards the two sets: a fork hook
# that took one would wait for threads that wait for the hook, through logging or the spool.
_opening: set[Path] = set()


def take_lock(path: Path) -> Lock | None:
    """
    Take the lock file at *path*, creating it, or return None when another owner holds it.

    Raises:
        ForeignError: It is a link, no regular file, or of another user.
        OSError: It cannot be opened.
    """
    # The standard library's own call. The library filelock also watches every fork of the process,
    # and prevents a fork while another thread takes a lock, as the listener does every few seconds.
    _opening.add(path)
    try:
        handle, _ = open_own(path, os.O_RDWR | os.O_CREAT)
        _handles.add(handle)
    finally:
        _opening.discard(path)
    lock = _DescriptorLock(handle)
    try:
        give_to_owner(path, handle)
        # The owner before us may have removed the file, and its directory, while we opened it.
        if _is_locked(handle) and path.stat().st_ino == os.fstat(handle).st_ino:
            return lock
    except BaseException:
        lock.release()
        raise
    lock.release()
    return None


def _is_locked(handle: int) -> bool:
    """Lock an open file; return False when another owner has locked it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _close_inherited_locks() -> None:
    """
    Close the child's copies after a fork: the parent keeps the locks.

    An open copy would keep a lock after the parent ended, and the parent's rows would wait for the
    child's end too.
    """
    while _handles:
        os.close(_handles.pop())
    while _opening:
        _close_handles_of(_opening.pop())


def _close_handles_of(path: Path) -> None:
    """Close the files that another thread of the parent opened just before the fork."""
    with suppress(OSError):
        found = path.stat()
        for name in os.listdir("/dev/fd"):  # noqa: PTH208  # names alone
            with suppress(OSError):
                if os.path.samestat(os.fstat(int(name)), found):
                    os.close(int(name))


os.register_at_fork(after_in_child=_close_inherited_locks)
