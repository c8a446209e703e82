"""``init``: database and tables, made or brought up to date."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from audit_handler.cli._options import as_json, connected, settings_options
from audit_handler.cli._output import echo_json, safe
from audit_handler.clickhouse import ClickHouse
from audit_handler.config import Settings
from audit_handler.schema import (
    DEFAULT_RETENTION,
    Month,
    changes,
    existing_table,
    statements,
    upgrade,
    upgrade_statements,
)

__all__ = ["init"]

_CREATES = "use an administrator: one with CREATE, ALTER and SELECT on the database"


@click.command()
@settings_options("cluster")
@click.option(
    "--retention",
    metavar="TIME",
    help=f"How long a new table keeps a row: '90 DAY', '18 MONTH'; by default {DEFAULT_RETENTION}.",
)
@click.option(
    "--print", "only_print", is_flag=True, help="Print the SQL of new tables, without connecting."
)
@click.option(
    "--dry-run", is_flag=True, help="Connect, print the SQL that would be run, and run nothing."
)
@as_json
def init(
    settings: Settings, retention: str | None, only_print: bool, dry_run: bool, is_json: bool
) -> None:
    """
    Create database and tables, or bring those that exist up to date.

    On one server, on a --cluster (replicated tables, and a Distributed one in front of them), or in
    a directory with embedded chDB. A table of the layout of 2025 is set aside and copied into a new
    one, month by month, while applications write; run again, it goes on where it was interrupted.
    What the operator has added is left alone, and so is a column of another type. May be run again
    at any time.
    """
    target = settings.target
    kept = retention or DEFAULT_RETENTION
    sql = statements(target, retention=kept)
    if only_print:
        _echo_sql(sql, is_json)
        return
    done: list[str] = []
    left: list[str] = []
    planned: list[str] = []

    def tell(what: str) -> None:
        done.append(what)
        if not is_json and not dry_run:
            click.echo(safe(what))

    with connected(settings, grant=_CREATES, creates=not dry_run) as connection:
        name = f"{target.table}_local" if target.cluster else target.table
        rows = existing_table(connection, target.database, name)
        aside = existing_table(connection, target.database, f"{name}_before_upgrade")
        if rows is not None and retention:
            left.append(f"retention of {name}, which exists; see sql/retention/")
        if dry_run:
            planned = upgrade_statements(connection, target, retention=kept)
        elif aside is not None or (rows is not None and rows.is_older):
            _upgrade(connection, settings, name, kept, tell)
        creating = dict(zip(statements(target), sql, strict=True))
        # A table that is still to be upgraded lacks nothing afterwards.
        for change in [] if planned else changes(connection, target):
            if change.sql is None:
                left.append(f"{change.what}; {change.remedy}")
                continue
            statement = creating.get(change.sql, change.sql)
            if dry_run:
                planned.append(statement)
                continue
            connection.command(statement)
            tell(f"{change.what}: {'created' if change.sql in creating else 'added'}")
    if dry_run:
        _echo_sql(planned, is_json)
    elif is_json:
        echo_json({"target": str(target), "changed": done, "left": left})
        return
    if not (done or planned):
        click.echo("nothing to change", err=dry_run)
    for what in left:
        click.echo(f"left alone: {safe(what)}", err=True)
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
    tell: Callable[[str], None],
) -> None:
    """Bring the table *name* from the layout of 2025 up to date, or go on with it."""

    def copied(month: Month, left: int) -> None:
        tell(f"month {month.month}: {month.rows:,} rows copied, {left} months left")

    upgraded = upgrade(connection, settings.target, retention=retention, on_month=copied)
    if upgraded.was_set_aside or upgraded.copied_months:
        behind = sum(month.left_behind for month in upgraded.months)
        tell(
            f"upgraded from the layout of 2025: {sum(m.rows for m in upgraded.months):,} rows, "
            f"{behind:,} left behind because they are past their retention, or have no time after "
            f"2019; the older table stays as {settings.target.database}.{name}_before_upgrade "
            "until it is dropped"
        )
