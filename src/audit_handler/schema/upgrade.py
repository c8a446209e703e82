"""
Upgrade a table from the layout of 2025 to today's: rename the older table, create a new one in its
place, and copy month by month.

Handlers may write during the upgrade: first to the older table, then to the new one. Every step
looks at the tables first, so an interrupted upgrade continues where it stopped, and a finished one
changes nothing. The SQL is in ``sql/upgrade/``.

The renamed table, ``audit_logs_before_upgrade``, stays until the operator drops it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from audit_handler.errors import DeliveryError, SetupError, TransientError
from audit_handler.schema._changes import Client, existing_table
from audit_handler.schema._files import DEFAULT_RETENTION, script, statements
from audit_handler.target import Target

__all__ = ["Month", "Upgrade", "upgrade", "upgrade_statements"]

# The first pass copies, and the last one finds all months equal. Between them, a month may get rows
# from an insert that ran in the server when the table was renamed.
_PASSES = 4
_TTL = re.compile(
    r"\bTTL (?:event_date|greatest\(event_date, toDate\(ingested_at\)\)) "
    r"\+ toInterval(Day|Week|Month|Year)\((\d+)\)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """One month of the older table."""

    month: int
    """202511 for November 2025."""
    rows: int
    """Rows of the older table that belong in the new one."""
    copied: int
    """Number of these rows that are in the new table."""
    left_behind: int
    """Rows that are not copied: older than the retention, or from before 1971."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """The outcome of `upgrade`."""

    was_set_aside: bool
    """Whether this run has put the new table in the older one's place."""
    months: tuple[Month, ...]
    """Every month of the older table; empty if there is no older table."""
    copied_months: int
    """Number of months that this run has copied; the others were complete before."""


def upgrade(
    client: Client,
    target: Target,
    *,
    retention: str = DEFAULT_RETENTION,
    on_month: Callable[[Month, int], object] = lambda _month, _left: None,
) -> Upgrade:
    """
    Upgrade *target*'s table from the layout of 2025 to today's. Return when every month is copied
    and counted.

    Run it again after an interruption, and once more before the older table is dropped: that run
    copies nothing. Never run two at a time.

    Args:
        retention: How long the new table keeps a row; no effect once the table exists. Older rows
            are not copied.
        on_month: Called after the copy of each month, with the month and the number of months left.

    Raises:
        SetupError: The table does not exist or cannot be upgraded; the text says what to do.
        DeliveryError: ClickHouse failed on the way, another copy is running, or a month's numbers
            of rows differ. Run it again.
    """
    name = f"{target.table}_local" if target.cluster else target.table
    was_set_aside = _replace_table(client, target, name, retention)
    copied: set[int] = set()
    if existing_table(client, target.database, f"{name}_before_upgrade") is None:
        return Upgrade(was_set_aside=False, months=(), copied_months=0)
    for _ in range(_PASSES):
        months = _months(client, target, name)
        unequal = [month for month in months if month.copied != month.rows]
        if not unequal:
            return Upgrade(was_set_aside=was_set_aside, months=months, copied_months=len(copied))
        for left, month in reversed(list(enumerate(reversed(unequal)))):
            _copy(client, target, name, month)
            copied.add(month.month)
            on_month(replace(month, copied=month.rows), left)
    raise TransientError(
        f"{target}: the new table does not have as many rows of "
        f"{', '.join(str(month.month) for month in unequal)} as the older one; another process "
        "still writes to the older one, or copies too. Run the upgrade again"
    )


def upgrade_statements(
    client: Client, target: Target, *, retention: str = DEFAULT_RETENTION
) -> list[str]:
    """
    Return the SQL that `upgrade` would run now, in order; none if nothing is left to do. The
    statement that copies a month is in the list once, for all months.

    Raises:
        DeliveryError: ClickHouse did not answer.
    """
    name = f"{target.table}_local" if target.cluster else target.table
    table = existing_table(client, target.database, name)
    aside = existing_table(client, target.database, f"{name}_before_upgrade")
    is_older = table is not None and table.is_older
    if aside is None and not is_older:
        return []
    found = ["1_set_aside"] if is_older else []
    if target.cluster and (is_older or table is None):
        found += ["2_flush_front", "3_drop_front", "4_older_front"]
    sql = [script(f"upgrade/{_layout(target)}/{each}.sql", target) for each in found]
    if is_older or table is None:
        sql += statements(target, retention=retention)
    elif all(month.copied == month.rows for month in _months(client, target, name)):
        return []
    copy = script("upgrade/copy_month.sql", target, retention=retention)
    return [*sql, f"-- For each month of sql/upgrade/months.sql:\n{copy}"]


def _layout(target: Target) -> str:
    return "cluster" if target.cluster else "node"


def _replace_table(client: Client, target: Target, name: str, retention: str) -> bool:
    """
    Rename an older table and create a new one in its place, or continue an interrupted attempt.
    Return whether an older table was renamed now.
    """
    table = existing_table(client, target.database, name)
    aside = existing_table(client, target.database, f"{name}_before_upgrade")
    if table is None and aside is None:
        raise SetupError(f"{target.database}.{name} does not exist; run: audit-handler init")
    if table is not None and not table.holds_rows:
        raise SetupError(
            f"{target.database}.{name} is a {table.engine} table, which holds no rows itself; "
            "upgrade the table under it, or name its cluster"
        )
    is_older = table is not None and table.is_older
    if is_older and aside is not None:
        raise SetupError(
            f"{target.database}.{name} has the layout of 2025, and {name}_before_upgrade exists "
            "too; rename that table, which an earlier upgrade left"
        )
    directory = f"upgrade/{_layout(target)}"
    if is_older:
        client.command(script(f"{directory}/1_set_aside.sql", target))
    elif aside is None:
        return False
    try:
        if target.cluster:
            _replace_front(client, target)
        for sql in statements(target, retention=retention):
            client.command(sql)
    except DeliveryError:
        # Put the older table back: applications write, and it is better than no table. After a kill
        # there is no table until the next run, and the rows wait in the spool.
        if is_older and existing_table(client, target.database, name) is None:
            client.command(script(f"{directory}/put_back.sql", target))
        raise
    return is_older


def _replace_front(client: Client, target: Target) -> None:
    """Drop the Distributed table with the older columns; create one for the older rows."""
    front = existing_table(client, target.database, target.table)
    if front is not None and front.engine != "Distributed":
        raise SetupError(
            f"{target.database}.{target.table} is a {front.engine} table, where a cluster needs a "
            "Distributed one in front of its local tables; rename it"
        )
    if front is not None and front.is_older:
        client.command(script("upgrade/cluster/2_flush_front.sql", target))
        client.command(script("upgrade/cluster/3_drop_front.sql", target))
    client.command(script("upgrade/cluster/4_older_front.sql", target))


def _months(client: Client, target: Target, name: str) -> tuple[Month, ...]:
    """Return the months of the older table, oldest first, with the rows of each that are copied."""
    retention = _retention(client, target, name)
    copied = client.query(script("upgrade/copied.sql", target))
    rows_by_month = {row["month"]: row["rows"] for row in copied}
    return tuple(
        Month(copied=rows_by_month.get(row["month"], 0), **row)
        for row in client.query(script("upgrade/months.sql", target, retention=retention))
    )


def _copy(client: Client, target: Target, name: str, month: Month) -> None:
    """Remove the rows of an interrupted copy of *month*, and copy the month."""
    if client.query(script("upgrade/running.sql", target))[0]["copies"]:
        raise TransientError(
            f"{target}: a month is being copied already; perhaps the last statement of an "
            "interrupted upgrade still runs in the server. Run the upgrade again later"
        )
    parameters = {"month": month.month}
    if month.copied:
        client.command(script(f"upgrade/{_layout(target)}/undo_month.sql", target), parameters)
    retention = _retention(client, target, name)
    client.command(script("upgrade/copy_month.sql", target, retention=retention), parameters)


def _retention(client: Client, target: Target, name: str) -> str:
    """Return how long the new table keeps its rows: forever if it has another TTL, or none."""
    table = existing_table(client, target.database, name)
    found = _TTL.search(table.ddl) if table is not None else None
    return f"{found[2]} {found[1]}" if found else "100 YEAR"
