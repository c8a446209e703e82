"""The queue of segments between the writer and the listener, with the counts of delivered rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress

from audit_handler.spool._adopted import AdoptedWriters
from audit_handler.spool._files import Files
from audit_handler.spool._segment import Segment
from audit_handler.spool._taken import TakenSegment

__all__ = ["SegmentQueue"]


class SegmentQueue:
    """
    Sealed segments of our own writer, and adopted ones, which go first.

    Change it only under the spool's lock. `oldest_since` and the counts may be read without it.

    Args:
        files: The file operations.
        is_synced: Whether a segment is synced before it is sent.
        notify: Called when a segment was added or finished.
    """

    def __init__(self, files: Files, *, is_synced: bool, notify: Callable[[], None]) -> None:
        self._notify = notify
        self.sealed: deque[Segment] = deque()
        """Our own segments that are not yet taken."""
        self.adopted = AdoptedWriters(files)
        self.taken = TakenSegment(files, is_synced=is_synced)
        self.held: Segment | None = None
        """The segment that was taken, and waits until a later one was tried."""
        self.finished_seq = 0
        """The number of our last row that is done."""
        self.finished_bytes = 0
        """Bytes of our rows that are done."""

    def add(self, segment: Segment) -> None:
        """Add a segment of our own. Ignore one that an interrupted call has added before."""
        taken = self.taken.segment
        if self.sealed:
            added_seq = self.sealed[-1].last_seq
        elif taken and taken.writer_id == segment.writer_id:
            added_seq = taken.last_seq
        elif self.held and self.held.writer_id == segment.writer_id:
            added_seq = self.held.last_seq
        else:
            added_seq = self.finished_seq
        if segment.last_seq > added_seq:
            self.sealed.append(segment)
        self._notify()

    def take_adopted(self) -> Segment | None:
        """Take the oldest adopted segment, if there is one."""
        return self._take(self.adopted.segments)

    def take_sealed(self) -> Segment | None:
        """Take the oldest segment of our own, if there is one."""
        return self._take(self.sealed)

    def _take(self, segments: deque[Segment]) -> Segment | None:
        if not segments:
            return None
        self.taken.segment = segments.popleft()
        return self.taken.segment

    def hold(self, *, newest: bool = False) -> Segment | None:
        """
        Hold the taken segment back, and take the one behind it, or the newest one behind that; each
        keeps its place. None if there is none.
        """
        waiting = [*self.adopted.segments, *self.sealed]
        if len(waiting) <= newest:
            return None
        self.held, self.taken.segment = self.taken.segment, waiting[-1 if newest else 0]
        return self.taken.segment

    def resume(self) -> None:
        """Take the held segment again; the later one waits in its place."""
        later = self.taken.segment
        if self.held is None or later is None:
            return
        segments = self.adopted.segments if later.writer_id in self.adopted else self.sealed
        for place, segment in enumerate(segments):
            if (segment.writer_id, segment.first_seq) == (later.writer_id, later.first_seq):
                # Under its new name: rows of it may be stored.
                segments[place] = later
                break
        self.taken.segment, self.held = self.held, None

    def finish(self) -> None:
        """Count the taken segment as done, and forget it."""
        segment = self.taken.segment
        if segment is None:
            return
        if segment.writer_id in self.adopted:
            self.adopted.finish(segment)
        else:
            self.finished_seq = segment.last_seq
            self.finished_bytes += segment.size
        # Last: other threads take its rows for counted from here on.
        self.taken.segment = None
        self._notify()

    def oldest_since(self) -> float | None:
        """
        Return the Unix seconds since which the oldest segment waits, or None when none does.

        Takes no lock: the caller must not wait for a disk that hangs in the middle of an append.
        """
        sinces = []
        for segments in (self.adopted.segments, self.sealed):
            with suppress(IndexError):  # Another thread may have emptied it.
                sinces.append(segments[0].since)
        sinces += [each.since for each in (self.taken.segment, self.held) if each]
        return min(sinces, default=None)
