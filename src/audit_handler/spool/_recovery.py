"""Recovery: what a dead process left behind, made deliverable again."""

from __future__ import annotations

import errno
import logging
import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from audit_handler.spool._files import Files, Lock
from audit_handler.spool._segment import OPEN, READY, UNREADABLE, Segment, is_segment_name
from audit_handler.spool._writer import LOCK_NAME

__all__ = [
    "Adopted",
    "AdoptedWriters",
    "adopt_dead_writers",
    "has_leftovers",
    "neglected_targets",
    "rejected_directory",
]

_logger = logging.getLogger("audit_handler.spool")

_REJECTED = "rejected"
_WRITER = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# As `new_writer_id` makes them. What else lies there, somebody has put there: it is left alone.
_HELPER = re.compile(r"\..*\.tmp|part\.ndjson|probe")
_SEQ = re.compile(rb'\{"writer_id":"[^"]*","seq":(\d+),')


@dataclass(slots=True)
class Adopted:
    """The directory of a dead writer, held by its lock until its segments are delivered."""

    directory: Path
    lock: Lock
    waiting: int
    """Segments not yet delivered."""

    def close(self, files: Files) -> None:
        """Release the lock; remove the directory when all of it was delivered."""
        if self.waiting == 0:
            with suppress(OSError):
                files.unlink(self.directory / LOCK_NAME)
            with suppress(OSError):
                files.remove_directory(self.directory)
        self.lock.release()


class AdoptedWriters:
    """
    The dead writers whose rows are being delivered here. Changed under the spool's lock; what is
    waiting may be read without it.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._writers: dict[str, Adopted] = {}
        self.segments: deque[Segment] = deque()
        """Those still to be taken."""
        self.rows = 0
        self.bytes = 0
        self.ids: set[str] = set()
        """Of all writers there were."""

    def __contains__(self, name: object) -> bool:
        return name in self._writers

    def directories(self) -> list[Path]:
        """Return where they lie."""
        return [dead.directory for dead in list(self._writers.values())]

    def add(self, dead: Adopted, segments: list[Segment]) -> None:
        """Take one over."""
        self._writers[dead.directory.name] = dead
        self.ids.add(dead.directory.name)
        self.segments.extend(segments)
        self.rows += sum(segment.rows for segment in segments)
        self.bytes += sum(segment.size for segment in segments)

    def finish(self, segment: Segment) -> None:
        """Forget a segment that is delivered, and its writer with the last one."""
        self.rows -= segment.rows
        self.bytes -= segment.size
        dead = self._writers[segment.writer_id]
        dead.waiting -= 1
        if dead.waiting == 0:
            del self._writers[segment.writer_id]
            dead.close(self._files)

    def close(self) -> None:
        """Let go of all: other processes deliver what still waits."""
        for dead in self._writers.values():
            dead.close(self._files)
        self._writers.clear()


def neglected_targets(files: Files, target_directory: Path) -> list[Path]:
    """
    Return the directories of other targets in this spool where rows wait and no process lives.

    They are left alone: a row that waits for one table must never end in another.
    """
    neglected = []
    for name in files.names(target_directory.parent):
        other = target_directory.parent / name
        if other != target_directory and any(
            _is_dead(files, other / writer) for writer in _names(files, other)
        ):
            neglected.append(other)
    return neglected


def _is_dead(files: Files, directory: Path) -> bool:
    """Whether *directory* is that of a writer with segments whose process is gone."""
    names = _names(files, directory)
    # Looked for first, because taking the lock would create it in any directory that stands here.
    if LOCK_NAME not in names or not any(map(is_segment_name, names)):
        return False
    try:
        lock = files.lock(directory / LOCK_NAME)
    except OSError:
        return False  # Not ours to ask.
    if lock is not None:
        lock.release()
    return lock is not None


def _names(files: Files, directory: Path) -> list[str]:
    try:
        return files.names(directory)
    except OSError:
        return []  # No directory, or not ours to read.


def rejected_directory(target_directory: Path) -> Path:
    """Return the directory, beside the writers', for rows that ClickHouse refused."""
    return target_directory / _REJECTED


def _is_writer_name(name: str) -> bool:
    """Whether a name in a target's directory is that of a writer."""
    return _WRITER.fullmatch(name) is not None


def has_leftovers(files: Files, target_directory: Path) -> bool:
    """Whether there is any writer's directory with something to do; its process may be alive."""
    return any(
        _is_writer_name(name) and _is_work(_names(files, target_directory / name))
        for name in files.names(target_directory)
    )


def _is_work(names: list[str]) -> bool:
    """Whether a directory with *names* is to be looked into: not for what was set aside."""
    return not names or any(
        name == LOCK_NAME or is_segment_name(name) or _HELPER.fullmatch(name) for name in names
    )


def adopt_dead_writers(
    files: Files,
    target_directory: Path,
    is_known: Callable[[str], bool] = lambda _name: False,
) -> list[tuple[Adopted, list[Segment]]]:
    """
    Take over every writer under *target_directory* whose process is gone, oldest first.

    A lock that can be taken says so: the operating system releases it when a process ends, however
    it ends.

    Args:
        files: The file operations.
        target_directory: The directory of one target; rows for other targets are none of our
            business.
        is_known: Whether to leave a name alone: our own writer's, and of those adopted already.
    """
    adopted = []
    for name in files.names(target_directory):
        if not _is_writer_name(name) or is_known(name):
            continue
        directory = target_directory / name
        if files.is_link(directory) or not _is_work(_names(files, directory)):
            continue
        try:
            lock = files.lock(directory / LOCK_NAME)
        except OSError:
            continue  # Removed a moment ago by a process that was done with it, or not ours.
        if lock is None:
            continue
        try:
            segments = _recover(files, directory)
        except BaseException as exc:
            lock.release()
            if not isinstance(exc, OSError):
                raise
            # Its neighbours must not wait for it; it is tried again with the next look.
            _tell(directory, exc)
            continue
        _told.discard(directory)
        dead = Adopted(directory=directory, lock=lock, waiting=len(segments))
        if segments:
            adopted.append((dead, segments))
        else:
            dead.close(files)
    return adopted


def _recover(files: Files, directory: Path) -> list[Segment]:
    """
    Return the segments of a dead writer in the order of their rows, all of them sealed.

    A torn last line is cut off: its logger call never returned. Files that only helped an insert
    are removed; one whose last row is not the one that its name and length promise, as a power loss
    can leave it, is set aside for a person to look at.
    """
    segments = []
    for name in files.names(directory):
        path = directory / name
        if files.is_link(path) or not is_segment_name(name):
            if _HELPER.fullmatch(name):
                with suppress(OSError):
                    files.unlink(path)
            continue
        content = _content(files, path)
        if content is None:
            continue
        size = content.rfind(b"\n") + 1
        if size < len(content):
            files.cut(path, size)
        if size == 0:
            files.unlink(path)
            continue
        first_seq, rows = int(path.stem), content.count(b"\n", 0, size)
        last = _SEQ.match(content, content.rfind(b"\n", 0, size - 1) + 1)
        if last is None or int(last[1]) != first_seq + rows - 1:
            damaged = path.with_suffix(UNREADABLE)
            files.rename(path, damaged)
            _logger.error("a segment of the spool is damaged; it is left in %s", damaged)
            continue
        since = files.modified(path)
        if path.suffix == OPEN:
            files.rename(path, path := path.with_suffix(READY))
        segments.append(
            Segment(
                writer_id=directory.name,
                first_seq=first_seq,
                rows=rows,
                size=size,
                path=path,
                since=since,
            )
        )
    return segments


def _content(files: Files, path: Path) -> bytes | None:
    """Return what a segment holds, or None where the disk does not give it back this time."""
    try:
        content = files.read(path)
    except OSError as exc:
        if exc.errno != errno.EIO:
            raise
        _tell(path, exc)
        return None
    _told.discard(path)
    return content


_told: set[Path] = set()
"""What cannot be read, and was said so: it is looked at every few seconds."""


def _tell(path: Path, exc: OSError) -> None:
    if path not in _told:
        _told.add(path)
        _logger.error("rows of a process that has ended cannot be read: %s", exc)
