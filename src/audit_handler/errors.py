"""
Every exception that this package raises: one root, families by side.

Retryable and permanent failures are different types: no caller has to search a message.
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
    """The root: ``except AuditHandlerError`` catches everything that this package raises."""


class ConfigurationError(AuditHandlerError, ValueError):
    """An option has a value that cannot be used; the text names option, value and remedy."""

    def __init__(self, message: str, *, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option
        """The option of `AuditHandler` that has the value, or None if there is none."""


class SpoolError(AuditHandlerError):
    """
    The spool did not accept a row, which was counted as dropped. Only with `SpoolUnsynced` it did.
    """


class SpoolFull(SpoolError):
    """The spool already holds *max_spool_bytes*."""


class SpoolUnavailable(SpoolError):
    """The file system failed: disk full, read-only, directory removed, no permission."""


class SpoolUnsynced(SpoolError):
    """
    With ``fsync="always"``: the row was written and survives the end of the process, but the disk
    could not sync it. It is delivered like any other: do not log it again.
    """


class SpoolClosed(SpoolError):
    """
    The spool was closed in the meantime. The handler opens another one, so its callers never see
    this.
    """


class DeliveryError(AuditHandlerError):
    """ClickHouse did not accept an insert. The rows stay in the spool."""

    def __init__(self, problem: str, *, code: int | None = None, remedy: str = "") -> None:
        super().__init__(f"{problem.rstrip('.')}; {remedy}" if remedy else problem)
        self.problem = problem
        """The message without the remedy."""
        self.code = code
        """ClickHouse's error code, or None if the answer had none."""
        self.remedy = remedy
        """Advice to the operator; empty if only waiting helps."""


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


class SetupError(DeliveryError):
    """Only an operator can fix it: unknown table, wrong password, missing grant or column."""


class DataError(DeliveryError):
    """ClickHouse rejects at least one of the rows, now and later; it stored none of them."""

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
        1-based position of the first bad row in the insert, or None if the server gave none.
        """
        self.is_ambiguous = is_ambiguous
        """
        True if the rows may be stored all the same (a materialized view failed after the insert).
        """
