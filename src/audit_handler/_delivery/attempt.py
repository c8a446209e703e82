"""
Deliver one segment: insert it, look up rows that may be stored already, split it around rows that
ClickHouse rejects, and set those rows aside.

The remaining work is a list of row ranges. The deduplication token of a range is the range itself:
the same rows always have the same token, and a part never has the token of the whole, because
ClickHouse drops all rows that come with a known token.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from audit_handler._reports import Reporter
from audit_handler.clickhouse import Destination
from audit_handler.errors import DataError, SetupError, TransientError, UnconfirmedError
from audit_handler.spool import Reason, Segment, Spool
from audit_handler.status import Counters

__all__ = ["Delivery"]

_logger = Reporter("audit_handler.listener")

# This many bad rows are removed by the number that the server reports. After that, halves are
# tried, which shows sooner whether any row of the segment can be stored.
_PULLED_ROWS = 10

# After this many bad rows from both ends of a segment, without a good one, the fault is in the
# table and not in the rows.
_DRIFT_ROWS = 20


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows *first* to *last*, by seq."""

    first: int
    last: int
    is_unsure: bool = False
    """Whether the rows may be stored already."""

    @property
    def rows(self) -> int:
        return self.last - self.first + 1


class Delivery:
    """
    Delivers one segment. Belongs to the listener's thread.

    Call `run` until it returns; after an exception it continues where it stopped.
    """

    def __init__(
        self, segment: Segment, spool: Spool, destination: Destination, counters: Counters
    ) -> None:
        self._spool = spool
        self._destination = destination
        self._counters = counters
        # Attempted by a process that died: the outcome is unknown.
        self._todo = [_Part(segment.first_seq, segment.last_seq, is_unsure=segment.was_attempted)]
        self._segment = segment
        self._rejected: dict[int, DataError] = {}
        self._was_tried_again = False
        self._stored_rows = 0
        self.unconfirmed: UnconfirmedError | None = None
        """What answered instead of ClickHouse to an insert whose rows were then found stored."""

    def run(self) -> None:
        """
        Deliver the remaining rows. When this returns, each row is stored, or set aside with the
        server's reason.

        Raises:
            TransientError: A later call may succeed.
            SetupError: A later call may succeed after an operator has fixed the setup.
            SegmentGone: Another program removed the segment.
            SegmentUnreadable: The disk cannot read the segment.
            OSError: The disk of the spool failed.
        """
        self._segment, content = self._spool.taken.attempting(self._segment)
        self._deliver(content)
        if self._rejected and not self._was_tried_again:
            # The table may have been fixed while its rows were tried one by one.
            self._was_tried_again = True
            self._todo = [_Part(seq, seq) for seq in sorted(self._rejected)]
            self._rejected.clear()
            self._deliver(content)
        if self._rejected:
            self._set_aside(content)

    def _deliver(self, content: bytes) -> None:
        while self._todo:
            part = self._todo[0]
            if part.is_unsure:
                self._todo[0:1] = self._missing(part, content)
                continue
            # From now on the rows may be stored, even if something is raised, also by the code that
            # handles it. Only a failure that is not ambiguous means that they are not stored.
            self._todo[0] = _Part(part.first, part.last, is_unsure=True)
            try:
                self._insert(part, content)
            except SetupError as exc:
                if not exc.is_ambiguous:
                    self._todo[0] = part
                raise
            except UnconfirmedError as exc:
                # Look up at once: behind a proxy that removes ClickHouse's headers every insert
                # ends here, and most have stored everything.
                missing = self._missing(self._todo[0], content)
                self._todo[0:1] = [replace(rest, is_unsure=True) for rest in missing]
                if missing:
                    raise
                self.unconfirmed = exc
            except TransientError as exc:
                if not exc.is_ambiguous:
                    self._todo[0] = part
                raise
            except DataError as exc:
                unsure = self._missing(part, content) if exc.is_ambiguous else [part]
                self._todo[0:1] = [
                    piece for rest in unsure for piece in self._split(rest, exc, content)
                ]
            else:
                self._todo.pop(0)
                self._count_stored(part.rows)

    def _insert(self, part: _Part, content: bytes, *, is_standard: bool = False) -> None:
        segment = self._segment
        token = f"{segment.writer_id}:{part.first}-{part.last}"
        if part.rows == segment.rows:
            path = segment.path if self._spool.files.is_durable else None
            self._destination.insert(content, token=token, path=path, is_standard=is_standard)
            return
        lines = self._lines(part, content)
        path = (
            self._spool.taken.helper_file(segment, "part.ndjson", lines)
            if self._spool.files.is_durable
            else None
        )
        try:
            self._destination.insert(lines, token=token, path=path, is_standard=is_standard)
        finally:
            if path is not None:
                # The outcome of the insert is known. If the file remains, recovery removes it.
                with suppress(OSError):
                    self._spool.files.unlink(path)

    def _missing(self, part: _Part, content: bytes) -> list[_Part]:
        """Return the ranges of rows in *part* that ClickHouse does not have."""
        stored = self._destination.stored(
            self._segment.writer_id, part.first, part.last, self._lines(part, content)
        )
        if not stored:
            return [_Part(part.first, part.last)]
        self._count_stored(len(stored))
        missing: list[_Part] = []
        for seq in range(part.first, part.last + 1):
            if seq in stored or seq in self._rejected:
                continue
            if missing and missing[-1].last == seq - 1:
                missing[-1] = _Part(missing[-1].first, seq)
            else:
                missing.append(_Part(seq, seq))
        return missing

    def _split(self, part: _Part, exc: DataError, content: bytes) -> list[_Part]:
        """
        Return smaller parts to try after *exc*. A part of one row is stored without the user's
        columns, or rejected.
        """
        if part.rows == 1:
            try:
                # Loses no value: the values of the user's own columns are in metadata too.
                self._insert(part, content, is_standard=True)
                self._count_stored(1)
            except DataError as still:
                self._rejected[part.first] = still
                if len(self._rejected) >= _DRIFT_ROWS and self._stored_rows == 0:
                    self._blame_table(still)
            return []
        if exc.row is not None and exc.row <= part.rows and len(self._rejected) < _PULLED_ROWS:
            bad = part.first + exc.row - 1
            pieces = [(part.first, bad - 1), (bad, bad), (bad + 1, part.last)]
            return [_Part(first, last) for first, last in pieces if first <= last]
        middle = (part.first + part.last) // 2
        # The end first: if the rows at the beginning are bad, a good row at the end shows that the
        # fault is not in the table.
        return [_Part(middle + 1, part.last), _Part(part.first, middle)]

    def _blame_table(self, exc: DataError) -> None:
        self._rejected.clear()
        self._todo = [_Part(self._segment.first_seq, self._segment.last_seq, is_unsure=True)]
        raise SetupError(
            f"the table accepts none of {_DRIFT_ROWS} rows ({exc}); compare its columns with "
            "sql/node/2_table.sql",
            code=exc.code,
        )

    def _set_aside(self, content: bytes) -> None:
        """
        Write the rejected rows and the server's reasons to ``rejected/``. After a crash they are
        written again under the same names.
        """
        segment = self._segment
        seqs = sorted(self._rejected)
        path = self._spool.rejected.write(
            segment.writer_id,
            segment.first_seq,
            segment.last_seq,
            b"".join(self._lines(_Part(seq, seq), content) for seq in seqs),
            [Reason.of(seq, self._rejected[seq]) for seq in seqs],
        )
        self._counters.rows_rejected += len(seqs)
        _logger.error(
            "ClickHouse rejects %d of %d rows: %s. They are in %s, with the reasons in the file "
            "beside it",
            len(seqs),
            segment.rows,
            self._rejected[seqs[0]],
            path,
        )

    def _lines(self, part: _Part, content: bytes) -> bytes:
        if part.rows == self._segment.rows:
            return content
        start = part.first - self._segment.first_seq
        return b"".join(content.splitlines(keepends=True)[start : start + part.rows])

    def _count_stored(self, rows: int) -> None:
        self._stored_rows += rows
        self._counters.rows_stored += rows
