"""``spool move``: rows of a target that is no longer used, sent to the present one."""

from __future__ import annotations

from dataclasses import asdict, replace

import click

from audit_handler._operations.move import deliver, remove_target, rename_target
from audit_handler.cli._connections import LOOKS_UP, connected
from audit_handler.cli._options import (
    as_json,
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
@click.option("--yes", "is_confirmed", is_flag=True, help="Do not ask for confirmation.")
@as_json
@click.pass_obj
def move(
    before: str | None, settings: Settings, target: str, is_confirmed: bool, is_json: bool
) -> None:
    """
    Send the rows of another target to this table.

    TARGET is a name from audit-handler spool: the server, database and table of an old dsn, which
    the application no longer uses. Stop the processes that write to it first: rows of a running
    process stay. Each row keeps its writer_id and seq. The command can be interrupted and repeated:
    rows that may be stored are looked up first. If the old table did not answer an insert, the rows
    of that insert may end up in both tables.

    Exit code 1 if you decline the confirmation.
    """
    if before:
        settings = replace(settings, spool_dir=spool_directory_alone(before))
    files, directory = DiskFiles(), spool_directory(settings)
    own = settings.target.directory_name
    if target == own or target not in files.names(directory):
        others = ", ".join(name for name in files.names(directory) if name != own)
        raise click.UsageError(
            f"{safe(target)} is not another target in {directory}; "
            f"targets there: {others or 'none'}"
        )
    waits = [each for each in waiting(files, directory) if each.target == target]
    rows = sum(each.rows for each in waits if not each.is_alive)
    refused = sum(each.rows for each in rejected(files, directory) if each.target == target)
    alive = sum(each.rows for each in waits if each.is_alive)
    if alive:
        click.echo(f"{alive:,} rows stay, because their processes are running", err=True)
    with connected(settings, grant=LOOKS_UP) as connection:
        # Check before the first rename: rows must not move to the target of a misspelled table.
        if existing_table(connection, settings.target.database, settings.target.table) is None:
            raise SetupError(
                f"{settings.target} does not exist, or is not visible to this user",
                remedy="no row was moved; see: audit-handler check",
            )
        if not is_confirmed:
            question = f"Send {rows:,} waiting and {refused:,} rejected rows to {settings.target}?"
            click.confirm(question, abort=True, err=True)
        moved = rename_target(files, directory / target, directory / own)
        try:
            delivered = deliver(files, directory / own, connection)
        except DeliveryError:
            click.echo(f"{moved:,} rows moved; they now wait for {settings.target}", err=True)
            raise
    remove_target(files, directory / target)
    if is_json:
        echo_json({"moved": moved, **asdict(delivered)})
        return
    click.echo(
        f"{moved:,} rows moved; {delivered.stored:,} stored, {delivered.rejected:,} rejected"
    )
    if refused or delivered.rejected:
        click.echo("to send the rejected rows again: audit-handler replay")
