"""The file operations of the spool, passed in: on disk, or the same ones in memory."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from pathlib import Path
from typing import Protocol

__all__ = ["DiskFiles", "Files", "Lock", "MemoryFiles"]

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

else:
    import fcntl

    def _is_taken(handle: int) -> bool:
        """Lock an open file; return whether it is ours now, and not somebody else's."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


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
        # Known before a fork can come, so that it closes the child's copy.
        with _opening:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
            _lock_handles.add(handle)
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
            _lock_handles.discard(self._handle)
            os.close(self._handle)


_lock_handles: set[int] = set()
_opening = threading.Lock()


def _before_fork() -> None:
    _opening.acquire()


def _after_fork_in_parent() -> None:
    _opening.release()


def _close_inherited_locks() -> None:
    """
    Close the child's copies after a fork: the locks stay with the parent.

    With a copy open here they would outlive it, and its rows would wait for our end too.
    """
    global _opening  # the child's own
    _opening = threading.Lock()
    while _lock_handles:
        os.close(_lock_handles.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_close_inherited_locks,
    )


class MemoryFiles:
    """
    The same operations on bytes in this process, for ``spool_dir=None``. Safe to call from several
    threads.

    Closing a handle keeps its file, as on disk. There is no other process, but there may be several
    spools: one that was closed and has not ended yet, and the one that was opened after it.
    """

    is_durable = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._contents: dict[Path, bytearray] = {}
        self._handles: dict[int, bytearray] = {}
        self._locked: set[Path] = set()
        self._next_handle = 0

    def make_directory(self, path: Path) -> None:
        pass

    def names(self, path: Path) -> list[str]:
        with self._lock:
            return sorted(
                {
                    entry.relative_to(path).parts[0]
                    for entry in self._contents
                    if path in entry.parents
                }
            )

    def remove_directory(self, path: Path) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass

    def create(self, path: Path) -> int:
        with self._lock:
            if path in self._contents:
                raise FileExistsError(path)
            self._next_handle += 1
            self._contents[path] = self._handles[self._next_handle] = bytearray()
            return self._next_handle

    def write(self, handle: int, data: bytes) -> int:
        self._handles[handle] += data
        return len(data)

    def size(self, handle: int) -> int:
        return len(self._handles[handle])

    def truncate(self, handle: int, size: int) -> None:
        del self._handles[handle][size:]

    def duplicate(self, handle: int) -> int:
        with self._lock:
            self._next_handle += 1
            self._handles[self._next_handle] = self._handles[handle]
            return self._next_handle

    def sync(self, handle: int) -> None:
        pass

    def close(self, handle: int) -> None:
        with self._lock:
            del self._handles[handle]

    def read(self, path: Path, *, is_synced: bool = False) -> bytes:  # noqa: ARG002
        return bytes(self._file(path))

    def cut(self, path: Path, size: int) -> None:
        del self._file(path)[size:]

    def modified(self, path: Path) -> float:  # noqa: ARG002  # the protocol's signature
        return 0.0

    def is_link(self, path: Path) -> bool:  # noqa: ARG002  # the protocol's signature
        return False

    def rename(self, old: Path, new: Path) -> None:
        with self._lock:
            self._contents[new] = self._pop(old)

    def unlink(self, path: Path) -> None:
        with self._lock:
            self._pop(path)

    def lock(self, path: Path) -> Lock | None:
        with self._lock:
            if path in self._locked:
                return None
            self._locked.add(path)
            return _MemoryLock(self._locked, path)

    def _file(self, path: Path) -> bytearray:
        try:
            return self._contents[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def _pop(self, path: Path) -> bytearray:
        content = self._file(path)
        del self._contents[path]
        return content


class _MemoryLock:
    def __init__(self, locked: set[Path], path: Path) -> None:
        self._locked = locked
        self._path = path

    def release(self) -> None:
        self._locked.discard(self._path)
