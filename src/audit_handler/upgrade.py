"""
From the layout of 2025 to today's: a new table takes the place of the older one, which is set aside
and copied into it month by month.

The handler may go on writing all the while: to the older table, then, from one statement to the
next, to the new one. Every step looks at what is there, so an upgrade that was interrupted goes on
where it stopped, and one that is done changes nothing. The SQL is in ``sql/upgrade/``.

Set aside means renamed: ``audit_logs_before_upgrade`` stays until the operator drops it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from audit_handler.schema import DEFAULT_RETENTION, Client
from audit_handler.target import Target

__all__ = ["Month", "Upgrade", "upgrade"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """One month of the older table."""

    month: int
    """202511 for November 2025."""
    rows: int
    """Rows of the older table that are to be in the new one."""
    copied: int
    """Rows of them that are in the new one."""
    left_behind: int
    """Rows that are not copied: older than what is kept, or of a time before 2020."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """What `upgrade` has done."""

    was_set_aside: bool
    """Whether this run has put the new table into the older one's place."""
    months: tuple[Month, ...]
    """Every month of the older table; empty when there is none."""
    copied_months: int
    """How many of them this run has copied; the others were whole before."""


def upgrade(
    client: Client,
    target: Target,
    *,
    retention: str = DEFAULT_RETENTION,
    on_month: Callable[[Month], object] = lambda _: None,
) -> Upgrade:
    """
    Bring *target*'s table from the layout of 2025 to today's, and return when every month of it is
    copied and counted.

    Run it again after an interruption, and once more before the older table is dropped: it then
    says that nothing was left to do. One at a time.

    Args:
        retention: How long the new table keeps a row. Rows that are older are not copied.
        on_month: Called after each month, copied or found whole.

    Raises:
        SetupError: There is no such table, or it cannot be upgraded; the text says what to do.
        DeliveryError: ClickHouse failed on the way, or a month's rows do not agree in number. Run
            it again.
    """
    raise NotImplementedError
