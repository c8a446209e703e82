"""Log failed deliveries: one line for each change, not for each retry."""

from __future__ import annotations

import re

from audit_handler._reports import Reporter
from audit_handler.errors import SetupError, TransientError, UnconfirmedError, ViewError
from audit_handler.spool import Spool
from audit_handler.status import Counters

__all__ = ["Trouble"]

_logger = Reporter("audit_handler.listener")

_Kind = tuple[type[BaseException], int | None, str]
_STORED_UNCONFIRMED: _Kind = (UnconfirmedError, 0, "")

# ClickHouse's UNKNOWN_TABLE and UNKNOWN_DATABASE.
_MISSING = (60, 81)
# What differs between two answers with the same cause: numbers, addresses, ids.
_NUMBERS = re.compile(r"[0-9a-f.:-]*[0-9][0-9a-f.:-]*")


class Trouble:
    """
    Remembers the last failure of a listener, and logs when its kind changes or deliveries succeed
    again.

    Args:
        counters: Its *last_error* is updated here.
        spool: Has the number of waiting rows.
    """

    def __init__(self, counters: Counters, spool: Spool) -> None:
        self._counters = counters
        self._spool = spool
        self._kind: _Kind | None = None
        self._view: tuple[str, int | None] | None = None
        self.rows_refused = 0
        """Rows that ClickHouse has rejected since it stored one."""

    def note(self, exc: BaseException) -> None:
        """Remember a failure, and log it if its kind differs from the last one."""
        self._counters.last_error = f"{type(exc).__name__}: {exc}"
        code = getattr(exc, "code", None)
        # A missing table may hide another one, such as the target of a view.
        named = exc.problem if isinstance(exc, SetupError) and code in _MISSING else ""
        kind = (type(exc), code, _NUMBERS.sub("", named))
        if kind == self._kind:
            return
        self._kind = kind
        if isinstance(exc, SetupError):
            _logger.error(
                "ClickHouse rejects inserts: %s. Rows stay in the spool until this is fixed", exc
            )
        elif isinstance(exc, TransientError):
            _logger.warning(
                "ClickHouse does not accept rows: %s. They stay in the spool and are sent again",
                exc,
            )
        else:
            _logger.error(
                "Delivery failed. Rows stay in the spool and are sent again", exc_info=exc
            )

    def note_unconfirmed(self, exc: UnconfirmedError) -> None:
        """
        Remember that rows were stored although nothing acknowledged them. Log it once, until an
        insert is acknowledged.
        """
        self._counters.last_error = f"{type(exc).__name__}: {exc}"
        if self._kind == _STORED_UNCONFIRMED:
            return
        self._kind = _STORED_UNCONFIRMED
        _logger.warning(
            "ClickHouse stores the rows, but its acknowledgement does not arrive: %s. Each insert "
            "is looked up, which takes one more request",
            exc,
        )

    def clear(self) -> None:
        """Note a success, and log it if it follows a failure."""
        if self._kind is not None:
            self._kind = None
            self._counters.last_error = ""
            _logger.info("ClickHouse accepts rows again; %d are waiting", self._spool.waiting_rows)

    def note_view(self, exc: ViewError) -> None:
        """Log that a materialized view failed, unless the last one failed in the same way."""
        failed = (exc.view, exc.code)
        if failed != self._view:
            self._view = failed
            _logger.error(
                "%s: rows are in the audit table, but not in this view, and other views may miss "
                "them too. Fix the view, and fill it again from the table",
                exc.problem,
            )

    def note_columns(self, names: tuple[str, ...], rows: int) -> None:
        """Count rows that were stored without the user's columns *names*; log each name once."""
        skipped = self._counters.skipped_columns
        new = [name for name in names if name not in skipped]
        # A new mapping, because other threads may read the old one.
        self._counters.skipped_columns = {
            **skipped,
            **{name: skipped.get(name, 0) + rows for name in names},
        }
        if new:
            _logger.error(
                "The columns %s, which you added to the table, reject values. The rows are stored "
                "without these columns; the values are in metadata. Change the type of the columns "
                "or the values",
                ", ".join(new),
            )
