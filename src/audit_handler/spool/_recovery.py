"""Recovery: find the writers of dead processes, and make their segments deliverable."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from audit_handler._reports import Reporter
from audit_handler.spool._adopted import Adopted
from audit_handler.spool._files import Files
from audit_handler.spool._layout import LOCK_NAME, is_writer_name, readable_names
from audit_handler.spool._own import ForeignError, report_foreign, report_unreadable
from audit_handler.spool._segment import OPEN, READY, UNREADABLE, Segment, is_segment_name

__all__ = ["adopt_dead_writers", "has_leftovers", "neglected_targets"]

_logger = Reporter("audit_handler.spool")

# Files that only helped an insert or a probe of the disk.
_HELPER = re.compile(r"\..*\.tmp|part\.ndjson|probe")
_SEQ = re.compile(rb'\{"writer_id":"[^"]*","seq":(\d+),')

# Unreadable paths that were reported: each is tried every few seconds, and reported once.
_reported: set[Path] = set()


def neglected_targets(files: Files, target_directory: Path) -> list[Path]:
    """
    Return the directories of other targets in this spool where rows wait and no process lives.

    They are left alone: a row that waits for one table must never get into another.
    """
    neglected = []
    for name in files.names(target_directory.parent):
        other = target_directory.parent / name
        if other == target_directory or not readable_names(files, other) or not files.is_own(other):
            continue
        if any(_is_dead(files, other / writer) for writer in readable_names(files, other)):
            neglected.append(other)
    return neglected


def _is_dead(files: Files, directory: Path) -> bool:
    """Return whether *directory* is a writer's, has segments, and its process is gone."""
    names = readable_names(files, directory)
    # Look for the lock file first: taking the lock would create it in any directory here.
    if LOCK_NAME not in names or not any(map(is_segment_name, names)):
        return False
    if not files.is_own(directory):
        return False
    try:
        lock = files.lock(directory / LOCK_NAME)
    except OSError:
        return False  # It belongs to another user.
    if lock is not None:
        lock.release()
    return lock is not None


def has_leftovers(files: Files, target_directory: Path) -> bool:
    """Return whether any writer's directory needs work; its process may be alive."""
    return any(
        is_writer_name(name) and _is_work(readable_names(files, target_directory / name))
        for name in files.names(target_directory)
    )


def _is_work(names: list[str]) -> bool:
    """Return whether a directory with *names* needs work. Quarantined files alone do not."""
    return not names or any(
        name == LOCK_NAME or is_segment_name(name) or _HELPER.fullmatch(name) for name in names
    )


def adopt_dead_writers(
    files: Files,
    target_directory: Path,
    is_known: Callable[[str], bool] = lambda _name: False,
) -> list[tuple[Adopted, list[Segment]]]:
    """
    Take over every writer of an ended process under *target_directory*, oldest first.

    A lock that can be taken proves it: the operating system releases a lock when its process ends,
    however it ends.

    Args:
        files: The file operations.
        target_directory: The directory of one target; rows for other targets are left alone.
        is_known: Whether to skip a name: our own writer's, and those adopted already.
    """
    adopted = []
    for name in files.names(target_directory):
        if not is_writer_name(name) or is_known(name):
            continue
        directory = target_directory / name
        if not _is_work(readable_names(files, directory)) or not files.is_own(directory):
            continue
        try:
            lock = files.lock(directory / LOCK_NAME)
        except ForeignError as exc:
            report_foreign(directory / LOCK_NAME, exc)
            continue
        except PermissionError as exc:
            report_unreadable(directory, exc)
            continue
        except OSError:
            continue  # Just removed by its own process.
        if lock is None:
            continue
        try:
            segments = _recover(files, directory)
        except BaseException as exc:
            lock.release()
            if not isinstance(exc, OSError):
                raise
            # The other writers must not wait for it; the next call tries it again.
            _report(directory, exc)
            continue
        _reported.discard(directory)
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
    are removed. After a power loss, the last row of a file may not have the number that follows
    from the file's name and its count of rows. Such a file is quarantined.
    """
    segments = []
    for name in files.names(directory):
        path = directory / name
        if not is_segment_name(name):
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
            _logger.error(
                "A segment of the spool is damaged. Its rows are not delivered; "
                "they stay in %s for you to examine.",
                damaged,
            )
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
    """Return the content of a segment; None if it is foreign, or unreadable this time."""
    try:
        content = files.read(path)
    except ForeignError as exc:
        report_foreign(path, exc)
        return None
    except OSError as exc:
        if exc.errno != errno.EIO:
            raise
        _report(path, exc)
        return None
    _reported.discard(path)
    return content


def _report(path: Path, exc: OSError) -> None:
    """Log once that *path* cannot be read."""
    if path not in _reported:
        _reported.add(path)
        _logger.error(
            "Rows of a process that has ended cannot be read: %s. "
            "They stay in the spool, and are tried again every few seconds.",
            exc,
        )
