"""
Deliver one segment: insert it, look up rows that may be stored already, and accept stored ones.

The remaining work is a list of parts. The deduplication token of a part names its rows: the same
rows always have the same token, and a part never has the token of the whole.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial

from audit_handler._delivery.parts import Part
from audit_handler._delivery.rejection import Rejection
from audit_handler._delivery.trouble import Trouble
from audit_handler.clickhouse import Destination
from audit_handler.errors import (
    DataError,
    SetupError,
    TransientError,
    UnconfirmedError,
    ViewError,
)
from audit_handler.spool import Segment, Spool
from audit_handler.status import Counters

__all__ = ["Delivery"]

# So many errors of a segment that something on the way may have made are taken for a fault of the
# way. Servers before 23.4 (ClickHouse#47813) and some proxies send no query id with any error.
_DOUBTED_ERRORS = 3

# So often rows are looked up that ClickHouse drops as stored but does not show, before they go
# under another token: a quarter of a minute with the default waits. A replica may be behind.
_LOOK_UPS = 8

_PROXY = "let proxies on the way pass ClickHouse's answers on, with their X-ClickHouse headers"
_LOOK_UP = (
    "let the rows be looked up: grant SELECT(writer_id, seq, event_date) to the user of the dsn, "
    "or upgrade the table with: audit-handler init"
)
_BEHIND = "see whether a replica is behind, in system.replication_queue"
_NOT_KEPT = "fix the view; give the audit table an engine that keeps rows, such as MergeTree"


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
        trouble: Trouble,
    ) -> None:
        self._spool = spool
        self._destination = destination
        self._counters = counters
        self._trouble = trouble
        self._segment = segment
        self._seqs = range(segment.first_seq, segment.last_seq + 1)
        # Attempted by a process that died: the outcome is unknown.
        self._todo = [Part(self._seqs, is_unsure=segment.was_attempted)]
        self._rows: list[bytes] = []
        self._rejection = Rejection(segment, self._todo, spool, counters, self._trouble)
        self._doubted = 0
        self._look_ups = 0
        self._goes_alone = False
        self.unconfirmed: UnconfirmedError | None = None
        """What answered instead of ClickHouse to an insert whose rows were then found stored."""

    @property
    def has_stored(self) -> bool:
        """Whether the table accepted a row of the segment in this process."""
        return self._rejection.has_stored

    def trust_table(self) -> None:
        """Note that the table accepts rows: then those that it rejects are bad."""
        self._rejection.is_table_trusted = True

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
            if self._rejection.offer_again():
                self._deliver(content)
            if seqs := self._rejection.seqs:
                self._rejection.set_aside(self._lines(Part(seqs), content))
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
                is_believed = not exc.is_from_shard and not exc.may_be_forged
                self._todo[0] = replace(unsure, is_believed=is_believed, ignores_views=True)
            except DataError as exc:
                lines = partial(self._lines, content=content)
                missing = [part]
                if exc.is_ambiguous:
                    missing = self._missing(unsure, content)
                    for rest in missing:
                        self._require_refused(part, rest, content, exc)
                if exc.may_be_of_others:
                    self._goes_alone = True
                    self._todo[0:1] = missing
                    continue
                if missing and len(missing[0].seqs) < len(part.seqs):
                    # The row that the server named is one of all of them.
                    exc.row = None
                self._todo[0:1] = [
                    piece for rest in missing for piece in self._rejection.split(rest, exc, lines)
                ]
            else:
                if len(part.origin) > len(part.seqs):
                    # ClickHouse also answers so when it drops rows because it knows the token.
                    self._todo[0] = replace(unsure, is_believed=True)
                    continue
                if part.ignores_views:
                    self._require_kept(part, content)
                self._todo.pop(0)
                self._accept(part)

    def _require_kept(self, part: Part, content: bytes) -> None:
        """
        Raise SetupError unless the rows of *part* are in the table itself. One with the engine Null
        keeps no rows: those that a view refuses would be nowhere.
        """
        stored = self._stored(part, content)
        if stored is None or stored.issuperset(part.seqs) or self._destination.hides_rows():
            return
        self._todo[0] = replace(part, is_unsure=True, ignores_views=False)
        problem = "a materialized view fails, and the table itself does not keep the rows"
        raise SetupError(problem, remedy=_NOT_KEPT)

    def _insert(self, part: Part, content: bytes) -> None:
        segment = self._segment
        lines = self._lines(part, content)
        path = None
        if self._destination.reads_files and self._spool.files.is_durable:
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
                alone=self._goes_alone,
                rows=len(part.seqs),
            )
        finally:
            if path is not None and path != segment.path:
                # The outcome of the insert is known. If the file remains, recovery removes it.
                with suppress(OSError):
                    self._spool.files.unlink(path)

    def _missing(self, part: Part, content: bytes) -> list[Part]:
        """
        Return the rows of *part* that ClickHouse does not have, as a part or none; all of them as
        unseen if it rejects the look-up.
        """
        stored = self._stored(part, content)
        if stored is None:
            if part.is_believed:
                self._accept(part)
                return []
            return [part.unseen()]
        missing = part.rest(stored)
        if missing and part.is_believed:
            if self._destination.hides_rows():
                self._accept(part)
                return []
            writer_id = self._segment.writer_id
            if missing[0].token(writer_id) != part.token(writer_id):
                self._wait_for_replicas(missing)
        self._look_ups = 0
        self._counters.rows_stored += len(part.seqs) - sum(len(rest.seqs) for rest in missing)
        return missing

    def _wait_for_replicas(self, missing: list[Part]) -> None:
        """Raise TransientError unless the rows were looked up often enough."""
        self._look_ups += 1
        if self._look_ups < _LOOK_UPS:
            rows = sum(len(part.seqs) for part in missing)
            problem = f"ClickHouse drops {rows} rows as stored, and does not show them yet"
            raise TransientError(problem, remedy=_BEHIND)

    def _stored(self, part: Part, content: bytes) -> set[int] | None:
        first, last = part.seqs[0], part.seqs[-1]
        lines = self._lines(Part(range(first, last + 1)), content)
        return self._destination.stored(self._segment.writer_id, first, last, lines)

    def _require_refused(self, part: Part, rest: Part, content: bytes, exc: DataError) -> None:
        """
        Raise TransientError or SetupError unless *exc* shows that ClickHouse refused *part* and
        stored no row of *rest*. Then the rows may only go again under the same token, which drops
        what is stored: their parts have other tokens.
        """
        is_seen = not rest.is_unseen
        self._todo[0] = replace(rest, is_unsure=True)
        if exc.is_too_large:
            if is_seen or not (part.is_unseen or part.origin):
                if self._destination.refuses_size(self._lines(rest, content)):
                    return
                self._todo[0] = replace(self._todo[0], is_unsure=is_seen, is_unseen=False)
            problem = exc.problem
        elif exc.may_be_forged:
            self._doubted += 1
            if is_seen and self._doubted > _DOUBTED_ERRORS:
                return
            problem = f"something on the way, not ClickHouse, rejects rows ({exc.problem})"
        elif is_seen or not exc.is_from_shard:
            return
        else:
            problem = f"one shard rejects rows ({exc.problem})"
        if is_seen:
            raise UnconfirmedError(problem, code=exc.code, remedy=_PROXY)
        raise SetupError(f"{problem}; some may be stored already", remedy=_LOOK_UP, code=exc.code)

    def _lines(self, part: Part, content: bytes) -> bytes:
        if len(part.seqs) == len(self._seqs):
            return content
        self._rows = self._rows or content.splitlines(keepends=True)
        start = self._segment.first_seq
        return b"".join([self._rows[seq - start] for seq in part.seqs])

    def _accept(self, part: Part) -> None:
        self._counters.rows_stored += len(part.seqs)
        self._rejection.note_stored(part)
