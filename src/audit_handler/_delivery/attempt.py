"""
One segment's way into ClickHouse: insert, look up what is unsure, split around rows that cannot be
taken, set those aside.

What is still to be done is a list of row ranges. A range's deduplication token is the range itself,
so the same rows always go under the same token, and a part never under the token of the whole: a
token drops whatever else comes with it.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass

from audit_handler.clickhouse import Destination
from audit_handler.errors import DataError, SetupError, TransientError
from audit_handler.spool import Segment, Spool
from audit_handler.status import Counters

__all__ = ["Delivery"]

_logger = logging.getLogger("audit_handler.listener")

_PULLED_ROWS = 10
# So many bad rows are pulled out by the number that the server names; then halves are tried, which
# tells sooner whether anything of the segment can be stored.
_DRIFT_ROWS = 20
# So many bad rows from both ends of a segment and not one good one: not the rows are at fault but
# the table.


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows *first* to *last*, by seq."""

    first: int
    last: int
    is_unsure: bool = False
    """Whether they may be stored already."""

    @property
    def rows(self) -> int:
        return self.last - self.first + 1


class Delivery:
    """
    Delivers one segment. Belongs to the listener's thread.

    Call `run` until it returns; after an exception it goes on where it stopped.
    """

    def __init__(
        self, segment: Segment, spool: Spool, destination: Destination, counters: Counters
    ) -> None:
        self._spool = spool
        self._destination = destination
        self._counters = counters
        # Attempted before we had it: by a process that died, so nobody knows how it ended.
        self._todo = [_Part(segment.first_seq, segment.last_seq, is_unsure=segment.was_attempted)]
        self._segment = segment
        self._rejected: dict[int, DataError] = {}
        self._was_tried_again = False
        self._stored_rows = 0

    def run(self) -> None:
        """
        Do what is left. When this returns, each row is stored, or set aside with the server's
        reason.

        Raises:
            TransientError: Worth another call later.
            SetupError: Worth another call once an operator has mended it.
            SegmentGone: Somebody removed the segment.
            SegmentUnreadable: The disk does not give it back.
            OSError: The spool's disk refused.
        """
        self._segment, content = self._spool.attempting(self._segment)
        self._deliver(content)
        if self._rejected and not self._was_tried_again:
            # The table may have been mended while its rows were tried one after the other.
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
            # Whatever is raised from here on, also by what is done about it: they may be stored,
            # unless the failure says that they are not.
            self._todo[0] = _Part(part.first, part.last, is_unsure=True)
            try:
                self._insert(part, content)
            except SetupError:
                self._todo[0] = part
                raise
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
            self._spool.helper_file(segment, "part.ndjson", lines)
            if self._spool.files.is_durable
            else None
        )
        try:
            self._destination.insert(lines, token=token, path=path, is_standard=is_standard)
        finally:
            if path is not None:
                # The insert has its outcome; what is left of the file is for recovery to remove.
                with suppress(OSError):
                    self._spool.files.unlink(path)

    def _missing(self, part: _Part, content: bytes) -> list[_Part]:
        """Return the runs of rows in *part* that ClickHouse does not have."""
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
        Return smaller parts to try after *exc*; a row by itself is stored without the user's
        columns, or rejected.
        """
        if part.rows == 1:
            try:
                # What was meant for the user's own columns stands in metadata too, so leaving them
                # out loses nothing.
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
        # The end first: if the rows at the beginning are bad, a good one there shows that the table
        # is not at fault.
        return [_Part(middle + 1, part.last), _Part(part.first, middle)]

    def _blame_table(self, exc: DataError) -> None:
        self._rejected.clear()
        self._todo = [_Part(self._segment.first_seq, self._segment.last_seq, is_unsure=True)]
        raise SetupError(
            f"the table takes none of {_DRIFT_ROWS} rows ({exc}); compare its columns with "
            "sql/node/2_table.sql. "
            "The rows are kept",
            code=exc.code,
        )

    def _set_aside(self, content: bytes) -> None:
        """
        Write the rejected rows and the server's reasons to ``rejected/``; the same names again
        after a crash.
        """
        segment = self._segment
        name = f"{segment.writer_id}-{segment.first_seq}-{segment.last_seq}"
        seqs = sorted(self._rejected)
        reasons = [
            {
                "seq": seq,
                "code": self._rejected[seq].code,
                "reason": str(self._rejected[seq].__cause__ or self._rejected[seq]),
            }
            for seq in seqs
        ]
        rows = b"".join(self._lines(_Part(seq, seq), content) for seq in seqs)
        # The reasons first: rows without a reason would be a riddle, reasons without rows are not
        # looked at.
        self._spool.set_aside(
            f"{name}.error.json", json.dumps({"rows": reasons}, indent=1).encode()
        )
        path = self._spool.set_aside(f"{name}.ndjson", rows)
        self._counters.rows_rejected += len(seqs)
        _logger.error(
            "ClickHouse cannot take %d of %d rows (%s); they are in %s with the reasons beside "
            "them",
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
