"""The file operations of the spool, passed in: on disk, or the same ones in memory."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Protocol

__all__ = ["DiskFiles", "Files", "Lock", "MemoryFiles"]


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

    def __init__(self) -> None:
        # Here, and not at the import of the package, which it would take half as long again; and
        # not in the listener's thread, in which an import holds up a fork.
        from filelock import lock_descriptor

        self._lock_descriptor = lock_descriptor

    # The hot path calls this one directly.
    write = staticmethod(os.write)

    def make_directory(self, path: Path) -> None:
        for parent in (*reversed(path.parents), path):
            if not parent.exists():
                parent.mkdir(mode=0o700, exist_ok=True)

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
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        # Known before it is locked, so that a fork at any later moment closes the child's copy.
        _lock_handles.add(handle)
        lock = _DescriptorLock(handle)
        try:
            is_locked = self._lock_descriptor(handle, blocking=False)
            # Whoever held it before may have removed the file, and its directory, while we came.
            if is_locked and path.stat().st_ino == os.fstat(handle).st_ino:
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


def _close_inherited_locks() -> None:
    """
    Close the child's copies after a fork: the locks stay with the parent.

    With a copy open here they would outlive it, and its rows would wait for our end too.
    """
    while _lock_handles:
        os.close(_lock_handles.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited_locks)


class MemoryFiles:
    """
    The same operations on bytes in this process, for ``spool_dir=None``. Safe to call from several
    threads.

    Closing a handle keeps its file, as on disk; there is no other process, so every lock is free.
    """

    is_durable = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._contents: dict[Path, bytearray] = {}
        self._handles: dict[int, bytearray] = {}
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

    def lock(self, path: Path) -> Lock | None:  # noqa: ARG002  # the protocol's signature
        return _NoLock()

    def _file(self, path: Path) -> bytearray:
        try:
            return self._contents[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def _pop(self, path: Path) -> bytearray:
        content = self._file(path)
        del self._contents[path]
        return content


class _NoLock:
    def release(self) -> None:
        pass
