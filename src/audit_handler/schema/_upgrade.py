"""
From the layout of 2025 to today's: a new table takes the place of the older one, which is set aside
and copied into it month by month.

The handler may go on writing all the while: to the older table, then, from one statement to the
next, to the new one. Every step looks at what is there, so an upgrade that was interrupted goes on
where it stopped, and one that is done changes nothing. The SQL is in ``sql/upgrade/``.

Set aside means renamed: ``audit_logs_before_upgrade`` stays until the operator drops it.
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

_PASSES = 4
"""
The first copies, the last finds all equal. In between, a month may have got rows from an insert
that was under way in the server when the table was set aside.
"""
_TTL = re.compile(r"\bTTL event_date \+ toInterval(Day|Week|Month|Year)\((\d+)\)")


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
    on_month: Callable[[Month, int], object] = lambda _month, _left: None,
) -> Upgrade:
    """
    Bring *target*'s table from the layout of 2025 to today's, and return when every month of it is
    copied and counted.

    Run it again after an interruption, and once more before the older table is dropped: it then
    says that nothing was left to do. One at a time.

    Args:
        retention: How long the new table keeps a row; no effect once it exists. Rows that are older
            are not copied.
        on_month: Called after each month that was copied, with it and the number of months left.

    Raises:
        SetupError: There is no such table, or it cannot be upgraded; the text says what to do.
        DeliveryError: ClickHouse failed on the way, a copy is running already, or a month's rows do
            not agree in number. Run it again.
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
        f"{target}: of {', '.join(str(month.month) for month in unequal)} the new table does not "
        "have as many rows as the older one; something still writes to the older one, or copies "
        "too. Run the upgrade again"
    )


def upgrade_statements(
    client: Client, target: Target, *, retention: str = DEFAULT_RETENTION
) -> list[str]:
    """
    Return the SQL that `upgrade` would run from here on, in order; none where nothing is left to
    do. The copy of a month is in it once, for all of them.

    Raises:
        DeliveryError: ClickHouse cannot be asked.
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
    Set an older table aside and put a new one into its place, or go on with that where it was
    interrupted. Return whether an older table was set aside now.
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
            "too; rename what an earlier upgrade has left"
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
        # The application is writing: better the older table than none. After a kill there is none
        # until the next run, and the rows wait in the spool.
        if is_older and existing_table(client, target.database, name) is None:
            client.command(script(f"{directory}/put_back.sql", target))
        raise
    return is_older


def _replace_front(client: Client, target: Target) -> None:
    """Drop the Distributed table that knows the older columns; give the older rows their own."""
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
    """Return the months of the older table, oldest first, and how much of each is copied."""
    retention = _retention(client, target, name)
    copied = client.query(script("upgrade/copied.sql", target))
    rows_by_month = {row["month"]: row["rows"] for row in copied}
    return tuple(
        Month(copied=rows_by_month.get(row["month"], 0), **row)
        for row in client.query(script("upgrade/months.sql", target, retention=retention))
    )


def _copy(client: Client, target: Target, name: str, month: Month) -> None:
    """Copy *month* whole, after taking away what an interrupted copy has left of it."""
    if client.query(script("upgrade/running.sql", target))[0]["copies"]:
        raise TransientError(
            f"{target}: a month is being copied already, perhaps by an upgrade that was "
            "interrupted: its last statement goes on in the server. Run the upgrade again later"
        )
    parameters = {"month": month.month}
    if month.copied:
        client.command(script(f"upgrade/{_layout(target)}/undo_month.sql", target), parameters)
    retention = _retention(client, target, name)
    client.command(script("upgrade/copy_month.sql", target, retention=retention), parameters)


def _retention(client: Client, target: Target, name: str) -> str:
    """Return how long the new table keeps its rows; for ever, if it has another TTL or none."""
    table = existing_table(client, target.database, name)
    found = _TTL.search(table.ddl) if table is not None else None
    return f"{found[2]} {found[1]}" if found else "100 YEAR"
