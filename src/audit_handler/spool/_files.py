"""The file operations of the spool, passed in; and those of a disk."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol

__all__ = ["DiskFiles", "Files", "Lock", "write_whole"]

# The standard library's own calls. filelock's watch every fork of the process besides, and refuse
# one that comes while another thread takes a lock, as the listener does every few seconds.
if sys.platform == "win32":
    import msvcrt

    def _is_taken(handle: int) -> bool:
        """Lock an open file; return whether it is ours now, and not somebody else's."""
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _give_back(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _is_taken(handle: int) -> bool:
        """Lock an open file; return whether it is ours now, and not somebody else's."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _give_back(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)


class Lock(Protocol):
    """A lock that is held until it is released or its process ends, however it ends."""

    def release(self) -> None:
        """Give the lock back. Harmless in a forked child, where the lock stays with the parent."""


class Files(Protocol):
    """
    What the spool does to files. Handles are small integers; paths are absolute.

    Every method raises OSError as the operating system's call of that name does.
    """

    is_durable: bool
    """Whether the files outlive the process."""

    def make_directory(self, path: Path) -> None:
        """
        Create a directory for the user alone, with its parents; one that exists is left as it is.

        Raises:
            OSError: It cannot be made, or it is somebody else's, or a link: what lies there may
                have been put there.
        """

    def names(self, path: Path) -> list[str]:
        """Return the sorted names in a directory; none when it does not exist."""

    def remove_directory(self, path: Path) -> None: ...

    def sync_directory(self, path: Path) -> None:
        """Make creations, renames and removals in the directory survive a power loss."""

    def create(self, path: Path) -> int:
        """Create a file for the user alone, and return a handle that reads it and appends to it."""

    def write(self, handle: int, data: bytes) -> int:
        """Append *data*, or a beginning of it; return how many bytes."""

    def size(self, handle: int) -> int: ...

    def truncate(self, handle: int, size: int) -> None: ...

    def duplicate(self, handle: int) -> int: ...

    def sync(self, handle: int) -> None: ...

    def close(self, handle: int) -> None: ...

    def read(self, path: Path, *, is_synced: bool = False) -> bytes:
        """Return a file's content; with *is_synced* only once it is on the disk."""

    def cut(self, path: Path, size: int) -> None:
        """Shorten a file that is not open."""

    def modified(self, path: Path) -> float:
        """Return the Unix seconds of the last write."""

    def is_link(self, path: Path) -> bool:
        """Whether *path* is a symbolic link. The spool makes none, and follows none."""

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, in one step; a file that has it is replaced."""

    def unlink(self, path: Path) -> None: ...

    def lock(self, path: Path) -> Lock | None:
        """
        Take the lock file at *path*, which is created, or return None when somebody holds it.

        Raises:
            FileNotFoundError: The directory is not there (any more).
        """


def write_whole(files: Files, path: Path, content: bytes, *, is_synced: bool) -> Path:
    """Write *content* to *path*, whole or not at all, replacing what an interrupted try left."""
    temporary = path.with_name(f".{path.name}.tmp")
    with suppress(FileNotFoundError):
        files.unlink(temporary)
    handle = files.create(temporary)
    try:
        written = 0
        while written < len(content):
            written += files.write(handle, content[written:])
        if is_synced:
            files.sync(handle)
    finally:
        files.close(handle)
    files.rename(temporary, path)
    if is_synced:
        files.sync_directory(path.parent)
    return path


class DiskFiles:
    """Files on a local disk. NFS is no such disk: its locks and renames promise less."""

    is_durable = True

    # Not followed when it is a link, never translated, not inherited by child programs.
    _APPEND = (
        os.O_RDWR
        | os.O_CREAT
        | os.O_EXCL
        | os.O_APPEND
        | getattr(os, "O_NOFOLLOW", 0)
        | getattr(os, "O_BINARY", 0)
    )

    # The hot path calls this one directly.
    write = staticmethod(os.write)

    def make_directory(self, path: Path) -> None:
        for parent in (*reversed(path.parents), path):
            if not parent.exists():
                parent.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            raise OSError(errno.ELOOP, "it is a link, which the spool does not follow", str(path))
        if hasattr(os, "geteuid") and found.st_uid not in (os.geteuid(), 0):
            raise PermissionError(
                errno.EPERM, f"it belongs to another user, uid {found.st_uid}", str(path)
            )

    def names(self, path: Path) -> list[str]:
        try:
            return sorted(entry.name for entry in path.iterdir())
        except FileNotFoundError:
            return []

    def remove_directory(self, path: Path) -> None:
        path.rmdir()

    def sync_directory(self, path: Path) -> None:
        if os.name == "nt":
            return  # Windows has no such call; NTFS journals its metadata.
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def create(self, path: Path) -> int:
        return os.open(path, self._APPEND, 0o600)

    def size(self, handle: int) -> int:
        return os.fstat(handle).st_size

    def truncate(self, handle: int, size: int) -> None:
        os.ftruncate(handle, size)

    def duplicate(self, handle: int) -> int:
        return os.dup(handle)

    def sync(self, handle: int) -> None:
        os.fsync(handle)

    def close(self, handle: int) -> None:
        os.close(handle)

    def read(self, path: Path, *, is_synced: bool = False) -> bytes:
        # One descriptor and few calls: beside a caller that logs flat out, each call of the
        # listener may wait 5 ms for the interpreter lock. Path.read_bytes makes nine of them.
        handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            if is_synced:
                os.fsync(handle)
            content = os.read(handle, os.fstat(handle).st_size)
            while more := os.read(handle, 1024 * 1024):
                content += more
            return content
        finally:
            os.close(handle)

    def cut(self, path: Path, size: int) -> None:
        os.truncate(path, size)

    def modified(self, path: Path) -> float:
        return path.stat().st_mtime

    def is_link(self, path: Path) -> bool:
        return path.is_symlink()

    def rename(self, old: Path, new: Path) -> None:
        old.replace(new)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def lock(self, path: Path) -> Lock | None:
        _opening.add(path)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
            _lock_handles.add(handle)
        finally:
            _opening.discard(path)
        lock = _DescriptorLock(handle)
        try:
            # Whoever held it before may have removed the file, and its directory, while we came.
            if _is_taken(handle) and path.stat().st_ino == os.fstat(handle).st_ino:
                return lock
        except BaseException:
            lock.release()
            raise
        lock.release()
        return None


class _DescriptorLock:
    """A lock on an open file. It lasts until that is closed, by us or by the end of the process."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def release(self) -> None:
        if self._handle in _lock_handles:
            # Given back before it is closed: a child that is forked in between has it open too.
            with suppress(OSError):
                _give_back(self._handle)
            _lock_handles.discard(self._handle)
            os.close(self._handle)


_lock_handles: set[int] = set()
_opening: set[Path] = set()
# Those that a thread is opening, whose handles are not known yet. No lock around that: a fork that
# took one would wait for threads that wait for it, by way of logging or of the spool.


def _close_inherited_locks() -> None:
    """
    Close the child's copies after a fork: the locks stay with the parent.

    With a copy open here they would outlive it, and its rows would wait for our end too.
    """
    while _lock_handles:
        os.close(_lock_handles.pop())
    while _opening:
        _close_handles_of(_opening.pop())


def _close_handles_of(path: Path) -> None:
    """Close what another thread of the parent has opened a moment before we were forked."""
    with suppress(OSError):
        found = path.stat()
        for name in os.listdir("/dev/fd"):  # noqa: PTH208  # names alone
            with suppress(OSError):
                if os.path.samestat(os.fstat(int(name)), found):
                    os.close(int(name))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited_locks)
