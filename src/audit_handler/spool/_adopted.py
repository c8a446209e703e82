"""Adopted writers: dead processes; this process delivers their rows."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from audit_handler.spool._files import Files
from audit_handler.spool._layout import LOCK_NAME
from audit_handler.spool._locks import Lock
from audit_handler.spool._segment import Segment

__all__ = ["Adopted", "AdoptedWriters"]


@dataclass(slots=True)
class Adopted:
    """The directory of a dead writer, held by its lock until its segments are delivered."""

    directory: Path
    lock: Lock
    waiting: int
    """Segments not yet delivered."""

    def close(self, files: Files) -> None:
        """Release the lock. Remove the directory if all its segments were delivered."""
        if self.waiting == 0:
            with suppress(OSError):
                files.unlink(self.directory / LOCK_NAME)
            with suppress(OSError):
                files.remove_directory(self.directory)
        self.lock.release()


class AdoptedWriters:
    """
    The dead writers that this process delivers for, with their counts.

    Change it only under the spool's lock; its counts may be read without it.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._writers: dict[str, Adopted] = {}
        self.segments: deque[Segment] = deque()
        """Segments not yet taken, oldest first."""
        self.rows = 0
        """Rows not yet delivered, those of the taken segment included."""
        self.bytes = 0
        """Bytes of these rows."""
        self.ids: set[str] = set()
        """Ids of the adopted writers, those delivered since included, until they are released."""

    def __contains__(self, name: object) -> bool:
        return name in self._writers

    def directories(self) -> list[Path]:
        """Return the directories of the writers. Takes no lock."""
        return [dead.directory for dead in list(self._writers.values())]

    def add(self, dead: Adopted, segments: list[Segment]) -> None:
        """Take over one writer and its segments."""
        self._writers[dead.directory.name] = dead
        self.ids.add(dead.directory.name)
        self.segments.extend(segments)
        self.rows += sum(segment.rows for segment in segments)
        self.bytes += sum(segment.size for segment in segments)

    def finish(self, segment: Segment) -> None:
        """Forget a delivered segment; close its writer after the last one."""
        self.rows -= segment.rows
        self.bytes -= segment.size
        dead = self._writers[segment.writer_id]
        dead.waiting -= 1
        if dead.waiting == 0:
            del self._writers[segment.writer_id]
            dead.close(self._files)

    def close(self) -> None:
        """Release all locks: others deliver the waiting rows, and count them."""
        # Before the release: another spool of this process may adopt them at once.
        self.ids.difference_update(self._writers)
        self.segments.clear()
        self.rows = self.bytes = 0
        for dead in self._writers.values():
            dead.close(self._files)
        self._writers.clear()
