"""
Deliver one segment: insert it, look up rows that may be stored already, find the rows that
ClickHouse rejects, and set those aside.

The remaining work is a list of parts. The deduplication token of a part names its rows: the same
rows always have the same token, and a part never has the token of the whole.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from audit_handler._delivery.parts import Part
from audit_handler._delivery.trouble import Trouble
from audit_handler._reports import Reporter
from audit_handler.clickhouse import Destination
from audit_handler.errors import (
    DataError,
    SetupError,
    TransientError,
    UnconfirmedError,
    ViewError,
)
from audit_handler.spool import Reason, Segment, Spool
from audit_handler.status import Counters

__all__ = ["Delivery", "TableSuspected"]

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


class Delivery:
    """
    Delivers one segment. Belongs to the listener's thread.

    Call `run` until it returns; after an exception it continues where it stopped.
    """

    def __init__(
        self,
        segment: Segment,
        spool: Spool,
        destination: Destination,
        counters: Counters,
        trouble: Trouble | None = None,
    ) -> None:
        self._spool = spool
        self._destination = destination
        self._counters = counters
        self._trouble = trouble or Trouble(counters, spool)
        self._segment = segment
        self._seqs = range(segment.first_seq, segment.last_seq + 1)
        # Attempted by a process that died: the outcome is unknown.
        self._todo = [Part(self._seqs, is_unsure=segment.was_attempted)]
        self._rows: list[bytes] = []
        self._rejected: dict[int, Reason] = {}
        self._before: dict[int, Reason] = {}
        self._narrowed: dict[tuple[str, ...], int] = {}
        self._said = ""
        self._tries = 0
        self.unconfirmed: UnconfirmedError | None = None
        """What answered instead of ClickHouse to an insert whose rows were then found stored."""
        self.has_stored = False
        """Whether the table accepted a row of the segment in this process."""
        self.is_trusted = False
        """Whether the table is known to accept rows; then the rejected ones are bad."""

    def is_of(self, segment: Segment) -> bool:
        """Return whether this is the delivery of *segment*."""
        mine = self._segment
        return (mine.writer_id, mine.first_seq) == (segment.writer_id, segment.first_seq)

    def run(self) -> None:
        """
        Deliver the remaining rows. When this returns, each row is stored, or set aside with the
        server's reason.

        Raises:
            TransientError: A later call may succeed.
            TableSuspected: The table rejects all of the rows. A later call tries all again.
            SetupError: A later call may succeed after an operator has fixed the setup.
            SegmentGone: Another program removed the segment.
            SegmentUnreadable: The disk cannot read the segment.
            OSError: The disk of the spool failed.
        """
        self._segment, content = self._spool.taken.attempting(self._segment)
        try:
            self._deliver(content)
            if self._rejected and not self._before:
                self._suspect_table()
                # The table may have been fixed while its rows were tried.
                self._before = dict(self._rejected)
                self._todo = [Part(tuple(sorted(self._rejected)))]
                self._rejected.clear()
                self._deliver(content)
            if self._rejected:
                self._set_aside(content)
        finally:
            self._rows = []

    def _deliver(self, content: bytes) -> None:
        while self._todo:
            part = self._todo[0]
            if part.is_unsure:
                self._todo[0:1] = self._missing(part, content)
                continue
            # From now on the rows may be stored, even if something is raised, also by the code that
            # handles it. Only a failure that is not ambiguous means that they are not stored.
            self._todo[0] = unsure = replace(part, is_unsure=True)
            try:
                self._insert(part, content)
            except SetupError as exc:
                if not exc.is_ambiguous:
                    self._todo[0] = part
                raise
            except UnconfirmedError as exc:
                # Look up at once: behind a proxy that removes ClickHouse's headers every insert
                # ends here, and most have stored everything.
                missing = self._missing(unsure, content)
                self._todo[0:1] = [replace(rest, is_unsure=True) for rest in missing]
                if missing:
                    raise
                self.unconfirmed = exc
            except TransientError as exc:
                if not exc.is_ambiguous:
                    self._todo[0] = part
                raise
            except ViewError as exc:
                self._trouble.note_view(exc)
                # What is missing goes again, and no view can fail then. Without a look-up, a single
                # server has stored all rows before its views; of several, each may have stored its
                # share or not, and the same token keeps the shares single.
                if part.ignores_views:
                    raise TransientError(exc.problem, code=exc.code) from exc
                self._todo[0] = replace(
                    unsure, is_believed=not exc.is_from_shard, ignores_views=True
                )
            except DataError as exc:
                missing = self._missing(unsure, content, exc) if exc.is_ambiguous else [part]
                if missing and len(missing[0].seqs) < len(part.seqs):
                    # The row that the server named is one of all of them.
                    exc.row = None
                self._todo[0:1] = [piece for rest in missing for piece in self._split(rest, exc)]
            else:
                if len(part.origin) > len(part.seqs):
                    # ClickHouse also answers so when it drops rows because it knows the token.
                    self._todo[0] = replace(unsure, is_believed=True)
                    continue
                self._todo.pop(0)
                self._accept(part)

    def _insert(self, part: Part, content: bytes) -> None:
        segment = self._segment
        lines = self._lines(part, content)
        path = None
        if self._spool.files.is_durable:
            if lines is content:
                path = segment.path
            else:
                path = self._spool.taken.helper_file(segment, "part.ndjson", lines)
        try:
            self._destination.insert(
                lines,
                token=part.token(segment.writer_id),
                path=path,
                without=part.without,
                ignores_views=part.ignores_views,
                rows=len(part.seqs),
            )
        finally:
            if path is not None and path != segment.path:
                # The outcome of the insert is known. If the file remains, recovery removes it.
                with suppress(OSError):
                    self._spool.files.unlink(path)

    def _missing(self, part: Part, content: bytes, exc: DataError | None = None) -> list[Part]:
        """Return the rows of *part* that ClickHouse does not have, as a part or none."""
        first, last = part.seqs[0], part.seqs[-1]
        lines = self._lines(Part(range(first, last + 1)), content)
        stored = self._destination.stored(self._segment.writer_id, first, last, lines)
        if stored is None:
            if part.is_believed:
                self._accept(part)
                return []
            if exc is not None and exc.is_from_shard:
                self._todo[0] = replace(part, is_unsure=False)
                raise SetupError(
                    f"one shard rejects rows ({exc.problem}); others may have stored theirs",
                    remedy="grant SELECT(writer_id, seq, event_date) to the user of the dsn, or "
                    "upgrade the table with: audit-handler init",
                    code=exc.code,
                )
            return part.only(part.seqs)
        missing = part.rest(stored)
        self._counters.rows_stored += len(part.seqs) - sum(len(rest.seqs) for rest in missing)
        return missing

    def _split(self, part: Part, exc: DataError) -> list[Part]:
        """Return smaller parts to try after *exc*."""
        rows = len(part.seqs)
        place = 1 if rows == 1 else exc.row
        if self._before and not self._rejected and place in (None, 1) and not exc.added:
            # The row that was rejected first is rejected again: the table was not fixed.
            self._rejected, self._before = dict(self._before), {0: Reason.of(None, exc)}
            return []
        if place is None or place > rows:
            # The end first: if the rows at the beginning are bad, a good row at the end shows that
            # the fault is not in the table.
            return [*part.only(part.seqs[rows // 2 :]), *part.only(part.seqs[: rows // 2])]
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
        if self.has_stored or self.is_trusted or self._before:
            is_large = len(self._rejected) >= _PULLED_ROWS and rows > _CUT_ROWS
            return rest[0].cut(_CUT_ROWS) if rest and is_large else rest
        if len(self._rejected) >= _SUSPECT_ROWS:
            self._suspect_table()
        if len(self._rejected) == _PULLED_ROWS:
            return self._sampled(rest)
        return rest

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
        if self.has_stored or self.is_trusted:
            return
        if self._trouble.rows_refused + refused < _SUSPECT_ROWS:
            return
        reason = self._rejected[min(self._rejected)]
        self._rejected.clear()
        self._todo = [Part(self._seqs, is_unsure=True)]
        raise TableSuspected(
            f"the table accepts none of {refused} rows ({self._said}); they are set aside if "
            "ClickHouse stores later ones",
            remedy="compare its columns with sql/node/2_table.sql",
            code=reason.code,
        )

    def _set_aside(self, content: bytes) -> None:
        """
        Write the rejected rows and the server's reasons to ``rejected/``. After a crash they are
        written again under the same names. Without space for them they are dropped.
        """
        segment = self._segment
        seqs = sorted(self._rejected)
        path = self._spool.rejected.write(
            segment.writer_id,
            segment.first_seq,
            segment.last_seq,
            self._lines(Part(tuple(seqs)), content),
            [self._rejected[seq] for seq in seqs],
        )
        if path is None:
            _logger.error(
                "ClickHouse rejects %d of %d rows: %s. They are dropped and counted, because "
                "rejected/ has no space for them",
                len(seqs),
                segment.rows,
                self._rejected[seqs[0]],
            )
            return
        self._counters.rows_rejected += len(seqs)
        if not self.has_stored:
            self._trouble.rows_refused += len(seqs)
        # A second call has nothing to do.
        self._rejected.clear()
        _logger.error(
            "ClickHouse rejects %d of %d rows: %s. They are in %s, with the reasons in the file "
            "beside it",
            len(seqs),
            segment.rows,
            self._said,
            path,
        )

    def _lines(self, part: Part, content: bytes) -> bytes:
        if len(part.seqs) == len(self._seqs):
            return content
        self._rows = self._rows or content.splitlines(keepends=True)
        start = self._segment.first_seq
        return b"".join([self._rows[seq - start] for seq in part.seqs])

    def _accept(self, part: Part) -> None:
        self.has_stored = True
        self._trouble.rows_refused = 0
        self._counters.rows_stored += len(part.seqs)
        if part.without:
            columns = tuple(sorted(part.without))
            self._trouble.note_columns(columns, len(part.seqs))
            for each in {columns, *((name,) for name in columns)}:
                self._narrowed[each] = self._narrowed.get(each, 0) + 1
