"""The ``audit-handler`` command: what an operator does around the handler."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from audit_handler import _replay
from audit_handler.clickhouse import ClickHouse
from audit_handler.config import Settings
from audit_handler.errors import AuditHandlerError
from audit_handler.schema import statements
from audit_handler.spool import DiskFiles, rejected_directory

try:
    import click
    from dotenv import dotenv_values
except ImportError:
    sys.exit("the command line needs an extra: pip install 'audit-handler[cli]'")

__all__ = ["main"]


@click.group()
@click.version_option(package_name="audit-handler")
def main() -> None:
    """
    Prepare ClickHouse for audit-handler, and mend what it could not store.

    Options can also come from the environment, or from a .env file in the working directory, under
    the names that the handler knows: CLICKHOUSE_URL, CLICKHOUSE_USER, CLICKHOUSE_PASSWORD,
    CLICKHOUSE_DATABASE, CLICKHOUSE_CLUSTER.

    Exit code 0: done. 1: ClickHouse refused; the message says what to do. 2: an option is wrong.
    """


@main.command()
@click.option("--dsn", help="https://user:password@host:8443/audit_db, or CLICKHOUSE_URL.")
@click.option("--database", help="Database to create, by default audit_db.")
@click.option("--table", help="Table to create, by default audit_logs.")
@click.option("--cluster", help="Create replicated tables on this cluster.")
@click.option("--print", "only_print", is_flag=True, help="Print the SQL, and run nothing.")
def init(only_print: bool, **given: str | None) -> None:
    """Create database and table where they are missing."""
    settings = _settings(given)
    if only_print:
        click.echo(";\n\n".join(statements(settings.target)) + ";")
        return
    with _connected(settings) as clickhouse:
        clickhouse.create_table()
    click.echo(f"ready: {settings.target}")


@main.command()
@click.option("--dsn", help="As the application has it, or CLICKHOUSE_URL.")
@click.option("--database", help="As the application has it.")
@click.option("--table", help="As the application has it.")
@click.option("--spool-dir", help="As the application has it, or AUDIT_SPOOL_DIR.")
def replay(**given: str | None) -> None:
    """
    Offer rows that ClickHouse refused again, after what refused them was mended.

    They are in rejected/ of the application's spool, with the reasons beside them. A row that is
    stored already is not stored twice, however often this is run.
    """
    settings = _settings(given)
    if settings.spool_dir is None:
        raise click.UsageError("--spool-dir: a spool in memory keeps no rejected rows")
    directory = settings.spool_dir / settings.target.directory_name
    with _connected(settings) as clickhouse:
        replayed = _replay.replay(DiskFiles(), directory, clickhouse)
    click.echo(
        f"stored {replayed.stored}, known already {replayed.known}, "
        f"refused again {replayed.refused}"
    )
    if replayed.refused:
        raise click.ClickException(f"see the reasons in {rejected_directory(directory)}")


def _settings(given: dict[str, str | None]) -> Settings:
    dotenv = dotenv_values(".env")
    environment = {name: value for name, value in dotenv.items() if value is not None}
    try:
        return Settings.resolve(given, {**environment, **os.environ})
    except AuditHandlerError as exc:
        raise click.UsageError(str(exc)) from exc


@contextmanager
def _connected(settings: Settings) -> Iterator[ClickHouse]:
    clickhouse = ClickHouse(settings.target, create_table=False, async_insert=False)
    try:
        yield clickhouse
    except AuditHandlerError as exc:
        raise click.ClickException(str(exc)) from exc
    finally:
        clickhouse.close()
