"""Parts of a segment: some of its rows, and how they are inserted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

__all__ = ["Part"]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that go in one insert."""

    seqs: Sequence[int]
    """Their numbers, in order."""
    is_unsure: bool = False
    """Whether the rows may be stored already."""
    is_believed: bool = False
    """Whether they count as stored if ClickHouse rejects the look-up."""
    without: frozenset[str] = frozenset()
    """Columns of the user that the insert leaves out."""
    ignores_views: bool = False
    """Whether the rows are stored also if a materialized view fails."""

    def token(self, writer_id: str) -> str:
        """
        Return the deduplication token: the same for the same rows, and another one for all others,
        because ClickHouse drops all rows that come with a known token.
        """
        first, last = self.seqs[0], self.seqs[-1]
        token = f"{writer_id}:{first}-{last}"
        if len(self.seqs) == last - first + 1:
            return token
        numbers = ",".join(map(str, self.seqs)).encode()
        return f"{token}/{hashlib.blake2b(numbers, digest_size=12).hexdigest()}"

    def only(self, seqs: Iterable[int]) -> list[Part]:
        """Return a part with *seqs* whose outcome is known; none without *seqs*."""
        left = tuple(seqs)
        return [replace(self, seqs=left, is_unsure=False, is_believed=False)] if left else []

    def cut(self, rows: int) -> list[Part]:
        """Return parts of at most *rows* rows."""
        starts = range(0, len(self.seqs), rows)
        return [replace(self, seqs=self.seqs[start : start + rows]) for start in starts]
