"""The segment that the listener delivers now: its file, and the files beside it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from audit_handler.spool._files import Files, write_whole
from audit_handler.spool._segment import (
    SENDING,
    UNREADABLE,
    Segment,
    SegmentGone,
    SegmentUnreadable,
)

__all__ = ["TakenSegment"]


class TakenSegment:
    """
    The file operations on the segment that was taken last. Only the listener's thread may use it.

    Args:
        files: The file operations.
        is_synced: Whether a segment is synced before it is sent, and its new name too.
    """

    def __init__(self, files: Files, *, is_synced: bool) -> None:
        self._files = files
        self._is_synced = is_synced
        self.segment: Segment | None = None
        """The segment, under its present name. Other threads may read it."""

    def attempting(self, segment: Segment) -> tuple[Segment, bytes]:
        """
        Note on disk, before an insert of *segment*, that its rows may be stored from now on.

        Returns:
            The segment under its new name, and its content.

        Raises:
            SegmentGone: It was removed from outside.
            SegmentUnreadable: The disk cannot read it, or returns another number of bytes.
            OSError: A file operation failed; the next call may succeed.
        """
        taken = self.segment
        if taken and (taken.writer_id, taken.first_seq) == (segment.writer_id, segment.first_seq):
            segment = taken  # An earlier call renamed it, and then failed.
        try:
            content = self._content(segment.path)
            if len(content) != segment.size:
                # A program has changed the file, or has closed its descriptor. An insert of what is
                # left would count for all rows.
                raise SegmentUnreadable(
                    f"{segment.path} has {len(content)} bytes of {segment.size}"
                )
            if not segment.was_attempted:
                renamed = replace(segment, path=segment.path.with_suffix(SENDING))
                self._files.rename(segment.path, renamed.path)
                self.segment = segment = renamed
        except FileNotFoundError as exc:
            raise SegmentGone(str(exc)) from exc
        if self._is_synced:
            self._files.sync_directory(segment.path.parent)
        return segment, content

    def _content(self, path: Path) -> bytes:
        """Sync and read a segment before it is sent."""
        # Sync it here and not when it is sealed: a logger call may seal it, and must not wait for a
        # disk. Sync an attempted one too: the process that renamed it may have died before its
        # sync.
        for is_synced in (True, False) if self._is_synced else (False,):
            try:
                return self._files.read(path, is_synced=is_synced)
            except OSError as exc:
                if exc.errno != errno.EIO:
                    raise
                # A segment that can be read can be sent, even if it cannot be synced.
        raise SegmentUnreadable(f"{path}: {os.strerror(errno.EIO)}")

    def remove(self) -> None:
        """Remove its file: every row of it is stored or rejected."""
        # If the file cannot be removed, the next process looks up its rows, and finds them stored.
        if self.segment:
            with suppress(OSError):
                self._files.unlink(self.segment.path)

    def give_up(self, segment: Segment) -> Path:
        """
        Quarantine *segment* under a name that is never delivered; return that path.

        Raises:
            OSError: A file operation failed.
        """
        path = segment.path.with_suffix(UNREADABLE)
        for name in (segment.path, segment.path.with_suffix(SENDING)):
            with suppress(FileNotFoundError):
                self._files.rename(name, path)
        return path

    def helper_file(self, segment: Segment, name: str, content: bytes) -> Path:
        """
        Write a file beside *segment*, for an insert that reads one; recovery removes it.

        It is not synced: its rows are in the segment too.
        """
        path = segment.path.with_name(name)
        return write_whole(self._files, path, content, is_synced=False)
