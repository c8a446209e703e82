"""A segment: the batch of rows that is buffered, sent, retried and recovered as one file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "OPEN",
    "READY",
    "SENDING",
    "UNREADABLE",
    "Segment",
    "SegmentGone",
    "SegmentUnreadable",
    "is_segment_name",
    "segment_name",
]

# Rows are appended to it.
OPEN = ".open"
# Sealed: never written again.
READY = ".ready"
# An insert of it was attempted, so its rows may be stored.
SENDING = ".sending"
# Quarantined: the disk does not return all of it. An operator has to look at it.
UNREADABLE = ".unreadable"

_NAME = re.compile(r"\d{20}\.(?:open|ready|sending)")


class SegmentGone(Exception):
    """A segment's file was removed from outside."""


class SegmentUnreadable(Exception):
    """The disk cannot read a segment, or not all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One sealed segment. Immutable; the name of its file shows its state."""

    writer_id: str
    first_seq: int
    """The *seq* of its first row; the next rows count up from it without a gap."""
    rows: int
    size: int
    """Bytes, line ends included."""
    path: Path
    since: float
    """Unix seconds at which its first row began to wait."""

    @property
    def last_seq(self) -> int:
        """The *seq* of its last row."""
        return self.first_seq + self.rows - 1

    @property
    def was_attempted(self) -> bool:
        """Whether this process, or one that died, started an insert of it."""
        return self.path.suffix == SENDING


def segment_name(first_seq: int, suffix: str) -> str:
    """Return the file name of the segment from row *first_seq* on; names sort like numbers."""
    return f"{first_seq:020d}{suffix}"


def is_segment_name(name: str) -> bool:
    """Return whether a file of that name is a segment to deliver."""
    return _NAME.fullmatch(name) is not None
