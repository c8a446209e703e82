"""
Every exception that audit_handler raises: one root, families by side.

Retryable and permanent failures are different types, so that nobody has to search a message.
"""

from __future__ import annotations

__all__ = [
    "AuditHandlerError",
    "ConfigurationError",
    "DataError",
    "DeliveryError",
    "SetupError",
    "SpoolClosed",
    "SpoolError",
    "SpoolFull",
    "SpoolUnavailable",
    "SpoolUnsynced",
    "TransientError",
]


class AuditHandlerError(Exception):
    """The root: ``except AuditHandlerError`` catches whatever this package raises."""


class ConfigurationError(AuditHandlerError, ValueError):
    """An option has a value that cannot work; the text names option, value and remedy."""


class SpoolError(AuditHandlerError):
    """
    A row could not be put into the spool; but for `SpoolUnsynced` it was not taken, and was counted
    as dropped.
    """


class SpoolFull(SpoolError):
    """The spool holds *max_spool_bytes* already."""


class SpoolUnavailable(SpoolError):
    """The file system refused: disk full, read-only, directory removed, no permission."""


class SpoolUnsynced(SpoolError):
    """
    ``fsync="always"``: the row was taken, and survives the end of the process, but the disk refused
    to sync it. It is delivered like any other: do not log it again.
    """


class SpoolClosed(SpoolError):
    """
    The spool was closed meanwhile; the handler opens another one, so no caller of it sees this.
    """


class DeliveryError(AuditHandlerError):
    """ClickHouse did not take an insert. The rows stay in the spool."""

    def __init__(self, problem: str, *, code: int | None = None, remedy: str = "") -> None:
        super().__init__(f"{problem.rstrip('.')}; {remedy}" if remedy else problem)
        self.problem = problem
        """What went wrong, without the remedy."""
        self.code = code
        """ClickHouse's error code, or None when the answer carried none."""
        self.remedy = remedy
        """What an operator can do about it; empty where only waiting helps."""


class TransientError(DeliveryError):
    """The same insert may succeed later: network trouble, overload, a server that is starting."""

    def __init__(
        self,
        problem: str,
        *,
        code: int | None = None,
        remedy: str = "",
        is_ambiguous: bool = True,
    ) -> None:
        super().__init__(problem, code=code, remedy=remedy)
        self.is_ambiguous = is_ambiguous
        """True when the rows may have been stored although no acknowledgement arrived."""


class SetupError(DeliveryError):
    """Only an operator can mend it: unknown table, wrong password, missing grant or column."""


class DataError(DeliveryError):
    """ClickHouse cannot take at least one of the rows, now or later; none of them was stored."""

    def __init__(
        self,
        problem: str,
        *,
        code: int | None = None,
        row: int | None = None,
        is_ambiguous: bool = False,
    ) -> None:
        super().__init__(problem, code=code)
        self.row = row
        """
        1-based position of the first bad row in the insert, or None when the server gave none.
        """
        self.is_ambiguous = is_ambiguous
        """
        True when the rows may be stored all the same (a materialized view threw after the insert).
        """
