"""The spool's file operations in memory, without a disk."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from audit_handler.spool._files import Found
from audit_handler.spool._held_write import HeldWrite
from audit_handler.spool._locks import Lock

__all__ = ["MemoryFiles"]


class _File(bytearray):
    """The content of a file."""

    modified = 0.0
    """Unix seconds at which it was created, or its last handle was closed."""


class MemoryFiles:
    """
    The same operations on bytes in this process, for ``spool_dir=None``. Safe to call from several
    threads.

    Closing a handle keeps its file, as on disk. No other process uses it, but several spools may:
    one that was closed and is still busy, and the one that was opened after it.
    """

    is_durable = False
    held_write: HeldWrite | None = None

    def __init__(self) -> None:
        # Reentrant, for a signal handler that logs on top of a call.
        self._lock = threading.RLock()
        self._contents: dict[Path, _File] = {}
        self._handles: dict[int, _File] = {}
        self._locked: set[Path] = set()
        self._next_handle = 0

    def make_directory(self, path: Path) -> None:
        pass

    def names(self, path: Path) -> list[str]:
        with self._lock:
            return sorted(
                {
                    entry.relative_to(path).parts[0]
                    for entry in list(self._contents)
                    if path in entry.parents
                }
            )

    def found(self, path: Path) -> dict[str, Found]:
        with self._lock:
            return {
                entry.name: Found(len(file), file.modified)
                for entry, file in self._contents.items()
                if entry.parent == path
            }

    def remove_directory(self, path: Path) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass

    def create(self, path: Path) -> int:
        with self._lock:
            if path in self._contents:
                raise FileExistsError(path)
            self._next_handle += 1
            self._contents[path] = self._handles[self._next_handle] = _File()
            self._contents[path].modified = time.time()
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
            # Not in `write`, which a logger call waits for.
            self._handles.pop(handle).modified = time.time()

    def read(self, path: Path, *, is_synced: bool = False) -> bytes:  # noqa: ARG002
        return bytes(self._file(path))

    def cut(self, path: Path, size: int) -> None:
        del self._file(path)[size:]

    def modified(self, path: Path) -> float:
        return self._file(path).modified

    def is_own(self, path: Path) -> bool:  # noqa: ARG002  # the protocol's signature
        return True

    def rename(self, old: Path, new: Path) -> None:
        with self._lock:
            self._contents[new] = self._file(old)
            del self._contents[old]

    def unlink(self, path: Path) -> None:
        with self._lock:
            self._file(path)
            del self._contents[path]

    def lock(self, path: Path) -> Lock | None:
        with self._lock:
            if path in self._locked:
                return None
            self._locked.add(path)
            return _MemoryLock(self._locked, path)

    def _file(self, path: Path) -> _File:
        try:
            return self._contents[path]
        except KeyError:
            raise FileNotFoundError(path) from None


class _MemoryLock:
    def __init__(self, locked: set[Path], path: Path) -> None:
        self._locked = locked
        self._path = path

    def release(self) -> None:
        self._locked.discard(self._path)
