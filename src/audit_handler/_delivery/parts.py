"""Parts of a segment: some of its rows, and how they are inserted."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

__all__ = ["Part"]

# The time in a row, as the encoder writes it: "2026-11-27 08:30:00.000000".
_TIME = b'"event_time":"'
_TIME_BYTES = 26


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that go in one insert."""

    seqs: Sequence[int]
    """Their numbers, in order."""
    is_unsure: bool = False
    """Whether the rows may be stored already."""
    is_believed: bool = False
    """
    Whether ClickHouse said that they are stored. So they count if it rejects the look-up; and if
    one is missing nevertheless, the token was to blame, and the row goes under another one.
    """
    is_unseen: bool = False
    """
    Whether the rows may be stored already, and ClickHouse rejects the look-up. So they go only
    under this token, which drops them if they are stored.
    """
    origin: Sequence[int] = ()
    """The rows of the insert of which these are the rest; empty if they are not."""
    without: frozenset[str] = frozenset()
    """Columns of the user that the insert leaves out."""
    ignores_views: bool = False
    """Whether the rows are stored also if a materialized view fails."""

    def token(self, writer_id: str) -> str:
        """
        Return the deduplication token: the same for the same rows, and another one for all others,
        because ClickHouse drops all rows that come with a known token. Only the rest of an insert
        keeps the token of the insert.
        """
        seqs = self.origin or self.seqs
        first, last = seqs[0], seqs[-1]
        token = f"{writer_id}:{first}-{last}"
        if len(seqs) == last - first + 1:
            return token
        numbers = ",".join(map(str, seqs)).encode()
        return f"{token}/{hashlib.blake2b(numbers, digest_size=12).hexdigest()}"

    def rest(self, stored: Collection[int]) -> list[Part]:
        """
        Return a part with the rows that are not *stored*; none if all are.

        An insert becomes visible shard by shard and partition by partition, and ClickHouse knows a
        token for each of them. With the token of the insert, the rest is not doubled by an insert
        that is still running: whichever comes second is dropped.
        """
        left = tuple(seq for seq in self.seqs if seq not in stored)
        if not left:
            return []
        origin = () if self.is_believed else (self.origin or self.seqs)
        return [replace(self._sure, seqs=left, origin=origin)]

    def only(self, seqs: Iterable[int]) -> list[Part]:
        """Return a part with *seqs* whose outcome is known; none without *seqs*."""
        left = tuple(seqs)
        return [replace(self._sure, seqs=left, origin=())] if left else []

    def unseen(self) -> Part:
        """Return this part, which goes again without a look-up."""
        return replace(self, is_unsure=False, is_unseen=True)

    def halves(self) -> list[Part]:
        """Return the second half of the rows, and the first one, where each has any."""
        middle = len(self.seqs) // 2
        return [*self.only(self.seqs[middle:]), *self.only(self.seqs[:middle])]

    def halves_by_time(self, lines: bytes) -> list[Part]:
        """
        Return the earlier half of the rows and the later one, so that each is in fewer partitions
        of the table.

        Args:
            lines: The rows.
        """
        times = [line.partition(_TIME)[2][:_TIME_BYTES] for line in lines.splitlines()]
        in_order = [seq for _, seq in sorted(zip(times, self.seqs, strict=True))]
        middle = len(in_order) // 2
        return [*self.only(sorted(in_order[:middle])), *self.only(sorted(in_order[middle:]))]

    def cut(self, rows: int) -> list[Part]:
        """Return parts of at most *rows* rows."""
        starts = range(0, len(self.seqs), rows)
        return [replace(self, seqs=self.seqs[start : start + rows], origin=()) for start in starts]

    @property
    def _sure(self) -> Part:
        return replace(self, is_unsure=False, is_believed=False, is_unseen=False)
