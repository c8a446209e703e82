"""
Every exception that this package raises: one root, and one family for each part of the package.

Retryable and permanent failures have different types, so callers need not search the message.
"""

from __future__ import annotations

__all__ = [
    "AuditHandlerError",
    "ConfigurationError",
    "DataError",
    "DeliveryError",
    "RejectedFull",
    "SetupError",
    "SpoolClosed",
    "SpoolError",
    "SpoolFull",
    "SpoolUnavailable",
    "SpoolUnsynced",
    "TransientError",
    "UnconfirmedError",
    "ViewError",
]


class AuditHandlerError(Exception):
    """The root: ``except AuditHandlerError`` catches everything that this package raises."""


class ConfigurationError(AuditHandlerError, ValueError):
    """An option has an invalid value; the text names option, value and remedy."""

    def __init__(self, message: str, *, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option
        """The option of `AuditHandler` that has the value, or None if it is not an option of it."""


class SpoolError(AuditHandlerError):
    """
    The spool did not accept a row, and the handler counted it as dropped. Only with
    `SpoolUnsynced`, the spool accepted the row.
    """


class SpoolFull(SpoolError):
    """The spool already holds *max_spool_bytes*."""


class RejectedFull(SpoolError):
    """
    ``rejected/`` holds *max_rejected_bytes*, so rows that ClickHouse rejects were dropped. It is
    counted and logged, never raised: the logger calls of these rows returned before.
    """

    def __init__(self, message: str, *, rows: int = 1) -> None:
        super().__init__(message)
        self.rows = rows
        """How many rows."""


class SpoolUnavailable(SpoolError):
    """The file system failed: disk full, read-only, directory removed, no permission."""


class SpoolUnsynced(SpoolError):
    """
    With ``fsync="always"``: the row was written and survives the end of the process, but the disk
    could not sync it. The row is delivered like any other: do not log it again.
    """


class SpoolClosed(SpoolError):
    """
    The spool was closed during the call. The handler opens another spool, so its callers never get
    this error.
    """


class DeliveryError(AuditHandlerError):
    """ClickHouse did not accept an insert. The rows stay in the spool."""

    def __init__(self, problem: str, *, code: int | None = None, remedy: str = "") -> None:
        super().__init__(f"{problem.rstrip('.')}; {remedy}" if remedy else problem)
        self.problem = problem
        """The message without the remedy."""
        self.code = code
        """ClickHouse's error code, or None if the answer had no code."""
        self.remedy = remedy
        """Advice to the operator; empty if the operator can only wait."""


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
        """True if the rows may have been stored although no acknowledgement arrived."""


class UnconfirmedError(TransientError):
    """
    The answer to an insert is not an acknowledgement of all its rows: something else than
    ClickHouse answered, or ClickHouse counts fewer rows. Some or all of them may be stored.
    """


class SetupError(DeliveryError):
    """An operator must fix the setup: unknown table, wrong password, missing grant or column."""

    def __init__(
        self,
        problem: str,
        *,
        code: int | None = None,
        remedy: str = "",
        is_ambiguous: bool = False,
    ) -> None:
        super().__init__(problem, code=code, remedy=remedy)
        self.is_ambiguous = is_ambiguous
        """True if the rows may be stored: something on the way answered, not ClickHouse."""


class DataError(DeliveryError):
    """ClickHouse rejects at least one of the rows, now and later."""

    def __init__(
        self,
        problem: str,
        *,
        code: int | None = None,
        row: int | None = None,
        table: str = "",
        key: str | None = None,
        is_ambiguous: bool = False,
        is_from_shard: bool = False,
        has_too_many_partitions: bool = False,
        is_too_large: bool = False,
        may_be_forged: bool = False,
    ) -> None:
        super().__init__(problem, code=code)
        self.row = row
        """
        Position of the first bad row in the insert, from 1, or None if the server did not report
        it.
        """
        self.table = table
        """The table that counts the rows, with its database, if the server named it."""
        self.key = key
        """The column whose value the server could not read, or None if it did not report it."""
        self.is_ambiguous = is_ambiguous or is_from_shard
        """True if nothing shows that ClickHouse stored no row: look them up first."""
        self.is_from_shard = is_from_shard
        """True if one shard rejected its share of the rows; others may have stored theirs."""
        self.has_too_many_partitions = has_too_many_partitions
        """True if no row is bad, but one insert has rows of more partitions than it may have."""
        self.is_too_large = is_too_large
        """True if a proxy says that the request is too large. It says nothing about the rows."""
        self.may_be_forged = may_be_forged
        """True if anything on the way may have said it, not ClickHouse."""
        self.may_be_of_others = False
        """
        True if the server gathered the rows with those of other writers; one bad row fails all.
        """
        self.added: tuple[str, ...] = ()
        """The user's own columns in the insert that may be the reason."""


class ViewError(DeliveryError):
    """
    A materialized view failed on the rows. ClickHouse stores the rows before their views get them.
    """

    def __init__(
        self,
        problem: str,
        *,
        code: int | None = None,
        view: str = "",
        is_from_shard: bool = False,
        may_be_forged: bool = False,
    ) -> None:
        super().__init__(problem, code=code)
        self.view = view
        """The view that failed, with its database."""
        self.is_from_shard = is_from_shard
        """True if several servers got rows: some may have stored their share, and others not."""
        self.may_be_forged = may_be_forged
        """True if anything on the way may have said it, not ClickHouse."""
