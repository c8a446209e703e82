"""``replay``: rejected rows, sent again."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import click

from audit_handler._operations.replay import replay as replay_rows
from audit_handler.cli._connections import connected
from audit_handler.cli._options import as_json, settings_options, spool_directory
from audit_handler.cli._output import echo_json, safe
from audit_handler.config import Settings
from audit_handler.spool import DiskFiles, rejected, rejected_directory

__all__ = ["replay"]

_WRITES = "grant INSERT and SELECT(writer_id, seq, event_date) on the table to the user of the dsn"


@click.command()
@settings_options("spool_dir")
@as_json
def replay(settings: Settings, is_json: bool) -> None:
    """
    Send rejected rows again.

    Run this command after you have fixed the reason; audit-handler spool shows it. Rejected rows
    are in the folder rejected/ of the application's spool. The command can be repeated: a row that
    is already stored is not stored twice.

    Exit code 1 if a row is rejected again, or if every rejected row belongs to another table.
    """
    directory = spool_directory(settings)
    own = settings.target.directory_name
    with connected(settings, grant=_WRITES) as connection:
        replayed = replay_rows(DiskFiles(), directory / own, connection)
    elsewhere: Counter[str] = Counter()
    for batch in rejected(DiskFiles(), directory):
        if batch.target != own:
            elsewhere[batch.target] += batch.rows
    if is_json:
        echo_json({**asdict(replayed), "elsewhere": elsewhere})
    else:
        click.echo(
            f"{replayed.stored:,} rows stored, {replayed.known:,} already stored, "
            f"{replayed.refused:,} rejected again"
        )
    for target, rows in elsewhere.items():
        click.echo(
            f"{rows:,} rows of {safe(target)} belong to another table; replay them with the --dsn, "
            "--database and --table of that table",
            err=True,
        )
    if replayed.refused:
        raise click.ClickException(
            f"{replayed.refused:,} rows were rejected again; the reasons are in "
            f"{safe(str(rejected_directory(directory / own)))}"
        )
    if elsewhere and not (replayed.stored or replayed.known):
        raise click.exceptions.Exit(1)
