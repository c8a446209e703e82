"""The options that many commands share: those of the target, --spool-dir, --format, --json."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from audit_handler._options.dsn import DSN_FORMS
from audit_handler.cli._dotenv import completed
from audit_handler.config import Settings
from audit_handler.errors import ConfigurationError

__all__ = [
    "as_json",
    "environment",
    "format_option",
    "settings_options",
    "spool_directory",
    "spool_directory_alone",
    "spool_option",
    "spool_settings",
]

_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "dsn": click.option(
        "--dsn",
        metavar="URL",
        help="Server, https://user:password@host:8443/audit_db, or embedded chDB, "
        "chdb:///directory.  [env: CLICKHOUSE_URL]",
    ),
    "database": click.option(
        "--database",
        metavar="NAME",
        help="Database of the table.  [env: CLICKHOUSE_DATABASE; default: the one in the dsn, else "
        "audit_db]",
    ),
    "table": click.option("--table", metavar="NAME", help="Table.  [default: audit_logs]"),
    "cluster": click.option(
        "--cluster",
        metavar="NAME",
        help="Cluster that holds the tables.  [env: CLICKHOUSE_CLUSTER; default: none]",
    ),
    "spool_dir": click.option(
        "--spool-dir",
        metavar="PATH",
        help="Spool directory of the application.  [env: AUDIT_SPOOL_DIR; default: the state "
        "directory of this user]",
    ),
}

as_json = click.option("--json", "is_json", is_flag=True, help="Print JSON.")

format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json", "csv", "ndjson"]),
    default="table",
    show_default=True,
    help="Output format. All but table print every column.",
)


def settings_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """
    Add --dsn, --database, --table and the options *names* to a command.

    The command gets *settings*, made from the options and the environment.
    """
    wanted = ("dsn", "database", "table", *names)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def with_settings(**given: Any) -> None:
            options = {name: given.pop(name) for name in wanted}
            environ = environment(has_dsn=bool(options["dsn"]))
            if not (options["dsn"] or environ.get("CLICKHOUSE_URL")):
                raise click.UsageError(
                    "no ClickHouse is named; give --dsn URL, or set CLICKHOUSE_URL in the "
                    f"environment or in a .env file in this directory. Forms of a URL: {DSN_FORMS}"
                )
            command(settings=Settings.resolve(options, environ), **given)

        for name in reversed(wanted):
            with_settings = _OPTIONS[name](with_settings)
        return with_settings

    return decorate


def spool_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --spool-dir to a command that needs no ClickHouse; the command gets the *spool_dir*."""
    return _OPTIONS["spool_dir"](command)  # type: ignore[no-any-return]  # click's decorators


def spool_directory(settings: Settings) -> Path:
    """
    Return the directory of the spool.

    Raises:
        ConfigurationError: The spool is in memory, or its directory does not exist.
    """
    directory = settings.spool_dir
    if directory is None:
        raise ConfigurationError(
            "the spool is in the memory of the application; give the directory of a spool on disk "
            "with --spool-dir or AUDIT_SPOOL_DIR"
        )
    if not directory.is_dir():
        raise ConfigurationError(
            f"there is no spool in {directory}; give --spool-dir or AUDIT_SPOOL_DIR as the "
            "application does. The default is in the state directory of the application's user: "
            "run this command as that user"
        )
    return directory


def spool_directory_alone(given: str | None) -> Path:
    """Return the directory of the spool for a command without --dsn; *given* is --spool-dir."""
    return spool_directory(spool_settings(given))


def spool_settings(given: str | None) -> Settings:
    """Return the settings for a command without --dsn; *given* is --spool-dir."""
    environ = {"CLICKHOUSE_URL": "http://localhost", **environment()}
    return Settings.resolve({"spool_dir": given}, environ)


def environment(*, has_dsn: bool = False) -> Mapping[str, str]:
    """
    Return the environment, completed by the .env file in the working directory.

    Args:
        has_dsn: Whether the command line names the server.
    """
    return completed(os.environ, has_dsn=has_dsn, say=functools.partial(click.echo, err=True))
