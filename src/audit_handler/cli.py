"""The ``audit-handler`` command: what an operator does before the first row can be stored."""

from __future__ import annotations

import os
import sys

from audit_handler.clickhouse import ClickHouse
from audit_handler.config import Settings
from audit_handler.errors import AuditHandlerError
from audit_handler.schema import statements

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
    Prepare ClickHouse for audit-handler.

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
def init(
    dsn: str | None, database: str | None, table: str | None, cluster: str | None, only_print: bool
) -> None:
    """Create database and table where they are missing."""
    given = {"dsn": dsn, "database": database, "table": table, "cluster": cluster}
    dotenv = dotenv_values(".env")
    environment = {name: value for name, value in dotenv.items() if value is not None}
    try:
        settings = Settings.resolve(given, {**environment, **os.environ})
    except AuditHandlerError as exc:
        raise click.UsageError(str(exc)) from exc
    if only_print:
        click.echo(";\n\n".join(statements(settings.target)) + ";")
        return
    clickhouse = ClickHouse(settings.target, create_table=True, async_insert=False)
    try:
        clickhouse.create_table()
    except AuditHandlerError as exc:
        raise click.ClickException(str(exc)) from exc
    finally:
        clickhouse.close()
    click.echo(f"ready: {settings.target}")
