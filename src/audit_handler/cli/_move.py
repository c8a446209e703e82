"""``spool move``: rows that wait for a target that nobody serves any more, sent to another."""

from __future__ import annotations

from dataclasses import asdict, replace

import click

from audit_handler._operations.move import deliver, remove_target, rename_target
from audit_handler.cli._options import (
    LOOKS_UP,
    as_json,
    connected,
    settings_options,
    spool_directory,
    spool_directory_alone,
)
from audit_handler.cli._output import echo_json, safe
from audit_handler.config import Settings
from audit_handler.errors import DeliveryError, SetupError
from audit_handler.schema import existing_table
from audit_handler.spool import DiskFiles, rejected, waiting

__all__ = ["move"]


@click.command()
@settings_options("spool_dir")
@click.argument("target")
@click.option("--yes", "is_confirmed", is_flag=True, help="Do not ask.")
@as_json
@click.pass_obj
def move(
    before: str | None, settings: Settings, target: str, is_confirmed: bool, is_json: bool
) -> None:
    """
    Send the rows that wait for TARGET to the table of the dsn instead.

    TARGET is the name that "audit-handler spool" shows, of a dsn, database or table that nothing
    writes to any more. Rows of processes that live stay: stop those first. Each row keeps its
    writer and number. May be interrupted and run again: what may be stored is looked up first. A
    row whose insert into the old table had no answer may be in both tables then.
    """
    if before:
        settings = replace(settings, spool_dir=spool_directory_alone(before))
    files, directory = DiskFiles(), spool_directory(settings)
    own = settings.target.directory_name
    if target == own or target not in files.names(directory):
        others = ", ".join(name for name in files.names(directory) if name != own)
        raise click.UsageError(f"{safe(target)} is none of the others in {directory}: {others}")
    waits = [each for each in waiting(files, directory) if each.target == target]
    rows = sum(each.rows for each in waits if not each.is_alive)
    refused = sum(each.rows for each in rejected(files, directory) if each.target == target)
    alive = sum(each.rows for each in waits if each.is_alive)
    if alive:
        click.echo(f"{alive:,} rows stay: they are of processes that live", err=True)
    with connected(settings, grant=LOOKS_UP) as connection:
        # Before anything is renamed: a typing error must not leave it for a table of no one.
        if existing_table(connection, settings.target.database, settings.target.table) is None:
            raise SetupError(
                f"{settings.target} does not exist, or is not visible to this user",
                remedy="nothing was moved; see: audit-handler check",
            )
        if not is_confirmed:
            question = f"send {rows:,} rows, and {refused:,} that were refused, to"
            click.confirm(f"{question} {settings.target}?", abort=True, err=True)
        moved = rename_target(files, directory / target, directory / own)
        try:
            delivered = deliver(files, directory / own, connection)
        except DeliveryError:
            click.echo(f"{moved:,} rows moved; they wait for {settings.target} now", err=True)
            raise
    remove_target(files, directory / target)
    if is_json:
        echo_json({"moved": moved, **asdict(delivered)})
        return
    click.echo(f"{moved:,} rows moved; {delivered.stored:,} stored, {delivered.rejected:,} refused")
    if refused or delivered.rejected:
        click.echo("for the refused ones: audit-handler replay")
