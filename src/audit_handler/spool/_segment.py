"""
A segment: the batch of rows that is buffered, sent, retried, recovered and set aside as one file.
"""

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

OPEN = ".open"
"""Being appended to."""
READY = ".ready"
"""Sealed: never written again."""
SENDING = ".sending"
"""An insert of it was attempted, so its rows may be stored."""
UNREADABLE = ".unreadable"
"""Set aside: the disk does not give it back, or not all of it. For a person to look at."""

_NAME = re.compile(r"\d{20}\.(?:open|ready|sending)")


class SegmentGone(Exception):
    """Somebody else removed a segment's file."""


class SegmentUnreadable(Exception):
    """The disk does not give a segment's content back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One sealed segment. Immutable; what happens to it is said by its file's name."""

    writer_id: str
    first_seq: int
    """The *seq* of its first row; rows count on from there without a gap."""
    rows: int
    size: int
    """Bytes, line ends included."""
    path: Path
    since: float
    """Unix seconds since which its first row waits."""

    @property
    def last_seq(self) -> int:
        """The *seq* of its last row."""
        return self.first_seq + self.rows - 1

    @property
    def was_attempted(self) -> bool:
        """Whether an insert of it was started, by this process or by one that died."""
        return self.path.suffix == SENDING


def segment_name(first_seq: int, suffix: str) -> str:
    """
    Return the file name of the segment that begins with row *first_seq*; names sort like the
    numbers.
    """
    return f"{first_seq:020d}{suffix}"


def is_segment_name(name: str) -> bool:
    """Whether a file of that name is a segment that is to be delivered."""
    return _NAME.fullmatch(name) is not None
