"""How often ClickHouse gives the same answer to a segment before fewer of its rows are tried."""

from __future__ import annotations

from collections import Counter

from audit_handler._delivery.parts import Part
from audit_handler.errors import TransientError

__all__ = ["Patience"]

# Two seconds with the default waits: an overload may last longer, and fewer rows do no harm then.
_EQUAL_ANSWERS = 5


class Patience:
    """Counts the equal answers to the parts of one segment. Belongs to its delivery."""

    def __init__(self) -> None:
        self._code: int | None = None
        self._answers: Counter[int | None] = Counter()

    def is_over(self, exc: TransientError, part: Part) -> bool:
        """
        Return whether *part* must be divided after *exc*, or set aside if it is one row. A row
        needs as many equal answers of its own.
        """
        if exc.code != self._code:
            self._code = exc.code
            self._answers.clear()
        is_row = len(part.seqs) == 1
        self._answers[_subject(part)] += 1
        if not (exc.may_be_a_row or (exc.may_be_its_size and not is_row)):
            return False
        return self._answers[_subject(part)] >= _EQUAL_ANSWERS

    def has_failed(self, part: Part) -> bool:
        """Return whether *part* is one row that got enough equal answers of its own."""
        return len(part.seqs) == 1 and self._answers[_subject(part)] >= _EQUAL_ANSWERS

    def renew(self) -> None:
        """Begin again to count."""
        self._answers.clear()


def _subject(part: Part) -> int | None:
    return part.seqs[0] if len(part.seqs) == 1 else None
