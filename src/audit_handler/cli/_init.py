"""``init``: the database and the tables, created or updated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from audit_handler.cli._connections import connected
from audit_handler.cli._options import as_json, settings_options
from audit_handler.cli._output import echo_json, safe
from audit_handler.clickhouse import ClickHouse
from audit_handler.config import Settings
from audit_handler.schema import (
    DEFAULT_RETENTION,
    changes,
    existing_table,
    statements,
)
from audit_handler.schema.upgrade import Month, upgrade, upgrade_statements

__all__ = ["init"]

_CREATES = "connect as a user with CREATE, ALTER and SELECT privileges on the database"


@click.command()
@settings_options("cluster")
@click.option(
    "--retention",
    metavar="TIME",
    help="How long a new table keeps a row, such as '90 DAY' or '18 MONTH'.  "
    f"[default: {DEFAULT_RETENTION}]",
)
@click.option(
    "--print",
    "only_print",
    is_flag=True,
    help="Print the SQL that creates new tables. Do not connect.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Connect and print the SQL that this command would run. Change nothing.",
)
@as_json
def init(
    settings: Settings, retention: str | None, only_print: bool, dry_run: bool, is_json: bool
) -> None:
    """
    Create the database and the table, or update them.

    Works on one server, on a cluster (replicated tables behind a Distributed table; see --cluster)
    and in a directory of embedded chDB. Adds the columns, indexes and settings that an existing
    table lacks. Does not change the type of a column, or anything that an operator added.

    A table with the layout of 2025 is renamed and copied into a new table, month by month, while
    applications keep writing.

    The command can be interrupted and repeated at any time.
    """
    target = settings.target
    kept = retention or DEFAULT_RETENTION
    sql = statements(target, retention=kept)
    if only_print:
        _echo_sql(sql, is_json)
        return
    done: list[str] = []
    unchanged: list[str] = []
    planned: list[str] = []

    def report(what: str) -> None:
        done.append(what)
        if not is_json and not dry_run:
            click.echo(safe(what))

    with connected(settings, grant=_CREATES, creates=not dry_run) as connection:
        name = f"{target.table}_local" if target.cluster else target.table
        rows = existing_table(connection, target.database, name)
        aside = existing_table(connection, target.database, f"{name}_before_upgrade")
        if rows is not None and retention:
            unchanged.append(
                f"the retention of {name}, which exists already; to change it, see sql/retention/"
            )
        if dry_run:
            planned = upgrade_statements(connection, target, retention=kept)
        elif aside is not None or (rows is not None and rows.is_older):
            _upgrade(connection, settings, name, kept, report)
        creating = dict(zip(statements(target), sql, strict=True))
        # The planned upgrade adds everything that the table lacks.
        for change in [] if planned else changes(connection, target):
            if change.sql is None:
                unchanged.append(f"{change.what}; {change.remedy}")
                continue
            statement = creating.get(change.sql, change.sql)
            if dry_run:
                planned.append(statement)
                continue
            connection.command(statement)
            report(f"{change.what}: {'created' if change.sql in creating else change.done}")
    if dry_run:
        _echo_sql(planned, is_json)
    elif is_json:
        echo_json({"target": str(target), "changed": done, "left": unchanged})
        return
    if not (done or planned):
        click.echo("nothing to change", err=dry_run)
    for what in unchanged:
        click.echo(f"not changed: {safe(what)}", err=True)
    if not dry_run:
        click.echo(f"ready: {target}")


def _echo_sql(sql: Sequence[str], is_json: bool) -> None:
    if is_json:
        echo_json({"statements": sql})
    elif sql:
        click.echo(";\n\n".join(sql) + ";")


def _upgrade(
    connection: ClickHouse,
    settings: Settings,
    name: str,
    retention: str,
    report: Callable[[str], None],
) -> None:
    """Upgrade the table *name* from the layout of 2025, or continue an interrupted upgrade."""

    def copied(month: Month, left: int) -> None:
        report(f"month {month.month}: {month.rows:,} rows copied, {left} months left")

    upgraded = upgrade(connection, settings.target, retention=retention, on_month=copied)
    if upgraded.was_set_aside or upgraded.copied_months:
        behind = sum(month.left_behind for month in upgraded.months)
        report(
            f"upgraded from the layout of 2025: {sum(m.rows for m in upgraded.months):,} rows "
            f"copied, {behind:,} not copied because they are past their retention or have no time "
            f"after 1970; the older table stays as "
            f"{settings.target.database}.{name}_before_upgrade until you drop it"
        )
