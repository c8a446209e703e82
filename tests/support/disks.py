"""Disks that fail, fill up, or interrupt the thread that uses them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from audit_handler.spool import DiskFiles

__all__ = ["FaultyFiles", "InterruptedFiles", "RefusingFiles", "raising"]


class FaultyFiles(DiskFiles):
    """A disk that, on request, writes *partial* bytes of a row and then fails."""

    def __init__(self) -> None:
        super().__init__()
        self.partial: int | None = None

    def write(self, handle: int, data: bytes) -> int:  # type: ignore[override]  # DiskFiles.write is os.write itself
        if self.partial is None:
            return os.write(handle, data)
        if self.partial:
            written = os.write(handle, data[: self.partial])
            self.partial = 0
            return written
        raise OSError(28, "No space left on device")


class InterruptedFiles(DiskFiles):
    """A disk that interrupts its next call of one kind, once, before or after the operation."""

    def __init__(self) -> None:
        super().__init__()
        self.interruptions: dict[str, Any] = {}

    def _interrupted(self, what: str) -> None:
        if interruption := self.interruptions.pop(what, None):
            interruption()

    def write(self, handle: int, data: bytes) -> int:  # type: ignore[override]  # DiskFiles.write is os.write itself
        self._interrupted("before write")
        written = os.write(handle, data)
        self._interrupted("after write")
        return written

    def sync(self, handle: int) -> None:
        self._interrupted("before sync")
        super().sync(handle)

    def duplicate(self, handle: int) -> int:
        self._interrupted("before duplicate")
        return super().duplicate(handle)

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self._interrupted("after rename")


def raising(error: type[BaseException]) -> Any:
    def interruption() -> None:
        raise error

    return interruption


class RefusingFiles(DiskFiles):
    """A disk that fails a number of syncs, of files or of directories."""

    def __init__(self, *, files: int = 0, directories: int = 0, path: Path | None = None) -> None:
        super().__init__()
        self.files, self.directories, self.path = files, directories, path
        self.synced: list[Path] = []

    def sync(self, handle: int) -> None:
        if self.files:
            self.files -= 1
            raise OSError(5, "Input/output error")
        super().sync(handle)

    def sync_directory(self, path: Path) -> None:
        if self.directories and self.path in (None, path):
            self.directories -= 1
            raise OSError(22, "Invalid argument")
        self.synced.append(path)
