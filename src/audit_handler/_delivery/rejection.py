"""
Find what ClickHouse rejects of a segment: some rows, the values of a column that the user added, or
every row, which may be the table's fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from audit_handler._delivery.parts import Part
from audit_handler._delivery.trouble import Trouble
from audit_handler._reports import Reporter
from audit_handler.errors import DataError, SetupError
from audit_handler.spool import Reason, Segment, Spool
from audit_handler.status import Counters

__all__ = ["Rejection", "TableSuspected"]

_logger = Reporter("audit_handler.listener")

# After this many rejected rows, rows spread over the whole segment are tried, which shows soon
# whether any of them can be stored; and a large part is cut.
_PULLED_ROWS = 10

# The rows that are tried then.
_SAMPLED_ROWS = 10

# After this many rejected rows, and no stored one, the fault may be in the table.
_SUSPECT_ROWS = _PULLED_ROWS + _SAMPLED_ROWS

# Rows of one insert when many of a segment are bad. Each bad row costs one insert, which the server
# reads up to that row; smaller parts would leave more parts in the table.
_CUT_ROWS = 500

# After this many rows that a column of the user rejects, the rest goes without that column.
_NARROWED_ROWS = 3


class TableSuspected(SetupError):
    """The table rejects all rows of a segment that were tried. The fault may be in the table."""


class Rejection:
    """
    What ClickHouse rejects of *segment*. Belongs to its delivery.

    Args:
        segment: The segment.
        todo: The parts that the delivery still has to insert; the first one is the one that was
            rejected. The others are changed here.
        spool: Rejected rows are set aside there.
        counters: Updated here.
        trouble: Remembers rejected rows of earlier segments.
    """

    def __init__(
        self,
        segment: Segment,
        todo: list[Part],
        spool: Spool,
        counters: Counters,
        trouble: Trouble,
    ) -> None:
        self._segment = segment
        self._todo = todo
        self._spool = spool
        self._counters = counters
        self._trouble = trouble
        self._rejected: dict[int, Reason] = {}
        self._before: dict[int, Reason] = {}
        self._narrowed: dict[tuple[str, ...], int] = {}
        self._said = ""
        self._tries = 0
        self.has_stored = False
        """Whether the table accepted a row of the segment in this process."""
        self.is_table_trusted = False
        """Whether the table is known to accept rows; then the rejected ones are bad."""

    @property
    def seqs(self) -> tuple[int, ...]:
        """The numbers of the rejected rows, in order."""
        return tuple(sorted(self._rejected))

    def note_stored(self, part: Part) -> None:
        """Note that the table accepted *part*."""
        self.has_stored = True
        self._trouble.rows_refused = 0
        if part.without:
            columns = tuple(sorted(part.without))
            self._trouble.note_columns(columns, len(part.seqs))
            for each in {columns, *((name,) for name in columns)}:
                self._narrowed[each] = self._narrowed.get(each, 0) + 1

    def offer_again(self) -> bool:
        """
        Offer the rejected rows once more when all others are done; return whether there are any.

        The table may have been fixed while its rows were tried.

        Raises:
            TableSuspected: It rejects all rows.
        """
        if not self._rejected or self._before:
            return False
        self._suspect_table()
        self._before = dict(self._rejected)
        self._todo[:] = [Part(self.seqs)]
        self._rejected.clear()
        return True

    def split(self, part: Part, exc: DataError, lines: Callable[[Part], bytes]) -> list[Part]:
        """
        Return smaller parts to try after *exc*.

        Args:
            part: The rows that were rejected.
            exc: The answer.
            lines: Returns the rows of a part.
        """
        rows = len(part.seqs)
        if exc.has_too_many_partitions and rows > 1:
            return part.halves_by_time(lines(part))
        place = 1 if rows == 1 else exc.row
        if self._before and not self._rejected and place in (None, 1) and not exc.added:
            # The row that was rejected first is rejected again: the table was not fixed.
            self._rejected, self._before = dict(self._before), {0: Reason.of(None, exc)}
            return []
        if place is None or place > rows:
            # The end first: if the rows at the beginning are bad, a good row at the end shows that
            # the fault is not in the table.
            return part.halves()
        seq = part.seqs[place - 1]
        rest = part.only(each for each in part.seqs if each != seq)
        if exc.added and not part.without.issuperset(exc.added):
            # Loses no value: the values of the user's own columns are in metadata too.
            if self._narrowed.get(exc.added, 0) >= _NARROWED_ROWS:
                without = part.without.union(exc.added)
                self._todo[1:] = [
                    replace(other, without=other.without.union(exc.added))
                    for other in self._todo[1:]
                ]
                return [replace(part, without=without)]
            narrowed = [
                replace(single, without=part.without.union(exc.added))
                for single in part.only([seq])
            ]
            return [*narrowed, *rest]
        self._rejected[seq] = Reason.of(seq, exc)
        self._said = str(exc)
        if self.has_stored or self.is_table_trusted or self._before:
            is_large = len(self._rejected) >= _PULLED_ROWS and rows > _CUT_ROWS
            return rest[0].cut(_CUT_ROWS) if rest and is_large else rest
        if len(self._rejected) >= _SUSPECT_ROWS:
            self._suspect_table()
        if len(self._rejected) == _PULLED_ROWS:
            return self._sampled(rest)
        return rest

    def set_aside(self, lines: bytes) -> None:
        """
        Write the rejected rows and the server's reasons to ``rejected/``. After a crash they are
        written again under the same names. Without space for them they are dropped.
        """
        segment = self._segment
        seqs = self.seqs
        path = self._spool.rejected.write(
            segment.writer_id,
            segment.first_seq,
            segment.last_seq,
            lines,
            [self._rejected[seq] for seq in seqs],
        )
        if path is None:
            _logger.error(
                "ClickHouse rejects %d of %d rows: %s. They are dropped and counted, because "
                "rejected/ has no space for them",
                len(seqs),
                segment.rows,
                # Not the reason, which quotes the row.
                self._said,
            )
            return
        self._counters.rows_rejected += len(seqs)
        if not self.has_stored:
            self._trouble.rows_refused += len(seqs)
        # A second call has nothing to do.
        self._rejected.clear()
        _logger.error(
            "ClickHouse rejects %d of %d rows: %s. They are in %s, with the reasons in the file "
            "beside it. Fix the reason, then run: audit-handler replay",
            len(seqs),
            segment.rows,
            self._said,
            path,
        )

    def _sampled(self, rest: list[Part]) -> list[Part]:
        """Take single rows from all over the remaining parts, and return them before the rest."""
        parts = [*rest, *self._todo[1:]]
        del self._todo[1:]
        left = [(part, seq) for part in parts for seq in part.seqs]
        step = max(1, len(left) // _SAMPLED_ROWS)
        # Others with each try, so that one is found in the end if there are any good ones.
        sample = left[self._tries % step :: step][:_SAMPLED_ROWS]
        self._tries += 1
        taken = {seq for _part, seq in sample}
        singles = [single for part, seq in sample for single in part.only([seq])]
        others = [
            other for part in parts for other in part.only(s for s in part.seqs if s not in taken)
        ]
        return [*singles, *others]

    def _suspect_table(self) -> None:
        """
        Raise TableSuspected if the last rows that ClickHouse got, here and before, were all
        rejected.
        """
        refused = len(self._rejected)
        if self.has_stored or self.is_table_trusted:
            return
        if self._trouble.rows_refused + refused < _SUSPECT_ROWS:
            return
        reason = self._rejected[min(self._rejected)]
        self._rejected.clear()
        self._todo[:] = [
            Part(range(self._segment.first_seq, self._segment.last_seq + 1), is_unsure=True)
        ]
        raise TableSuspected(
            f"the table accepts none of {refused} rows ({self._said}); they are set aside if "
            "ClickHouse stores later ones",
            remedy="compare its columns with sql/node/2_table.sql",
            code=reason.code,
        )
