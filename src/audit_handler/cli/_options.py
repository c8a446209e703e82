"""The options that commands share, and the settings and connections that they stand for."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click
from dotenv import dotenv_values

from audit_handler._operations.embedded import require_directory
from audit_handler.clickhouse import ClickHouse
from audit_handler.config import Settings
from audit_handler.errors import ConfigurationError, SetupError
from audit_handler.schema import existing_table
from audit_handler.target import DSN_FORMS, Target
from audit_handler.trail import Period, Trail

__all__ = [
    "LOOKS_UP",
    "as_json",
    "connected",
    "environment",
    "period",
    "period_options",
    "reading",
    "require_table",
    "settings_options",
    "spool_directory",
    "spool_directory_alone",
    "spool_option",
]

LOOKS_UP = "grant SELECT(writer_id, seq, event_date) on the table to the user of the dsn"
_READS = "grant SELECT on the table to the user of the dsn (sql/access/: audit_reader_role)"

_PASSWORDS = ("CLICKHOUSE_PASSWORD", "CLICKHOUSE_PASSWORD_FILE")

_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "dsn": click.option(
        "--dsn",
        metavar="URL",
        help="https://user:password@host:8443/audit_db or chdb:///directory; or CLICKHOUSE_URL.",
    ),
    "database": click.option(
        "--database", metavar="NAME", help="The table's database, by default audit_db."
    ),
    "table": click.option("--table", metavar="NAME", help="The table, by default audit_logs."),
    "cluster": click.option(
        "--cluster", metavar="NAME", help="The cluster of the tables; or CLICKHOUSE_CLUSTER."
    ),
    "spool_dir": click.option(
        "--spool-dir", metavar="PATH", help="As the application has it; or AUDIT_SPOOL_DIR."
    ),
}

as_json = click.option("--json", "is_json", is_flag=True, help="Print JSON.")


def settings_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """
    Add --dsn, --database, --table and the options *names* to a command, which gets the *settings*
    that they make, together with the environment.
    """
    wanted = ("dsn", "database", "table", *names)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def with_settings(**given: Any) -> None:
            options = {name: given.pop(name) for name in wanted}
            environ = environment()
            if not (options["dsn"] or environ.get("CLICKHOUSE_URL")):
                raise click.UsageError(
                    "no ClickHouse is named: give --dsn URL, or set CLICKHOUSE_URL in the "
                    f"environment or in a .env file here; a URL is like {DSN_FORMS}"
                )
            command(settings=Settings.resolve(options, environ), **given)

        for name in reversed(wanted):
            with_settings = _OPTIONS[name](with_settings)
        return with_settings

    return decorate


def spool_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --spool-dir alone to a command that asks no ClickHouse; it gets the *spool_dir*."""
    return _OPTIONS["spool_dir"](command)  # type: ignore[no-any-return]  # click's decorators


def spool_directory(settings: Settings) -> Path:
    """
    Return the directory of the spool.

    Raises:
        ConfigurationError: It is in memory, where nobody else can look, or not there.
    """
    directory = settings.spool_dir
    if directory is None:
        raise ConfigurationError("the spool is in memory: give --spool-dir or AUDIT_SPOOL_DIR")
    if not directory.is_dir():
        raise ConfigurationError(
            f"there is no spool in {directory}; give --spool-dir or AUDIT_SPOOL_DIR as the "
            "application has it. By default it is in the state directory of the user who runs it: "
            "run this as that user"
        )
    return directory


def spool_directory_alone(given: str | None) -> Path:
    """Return the same where no ClickHouse is named; *given* is the option."""
    environ = {"CLICKHOUSE_URL": "http://localhost", **environment()}
    return spool_directory(Settings.resolve({"spool_dir": given}, environ))


def environment() -> Mapping[str, str]:
    """Return the environment, and under it what a .env file in the working directory says."""
    dotenv = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    if any(os.environ.get(name) for name in _PASSWORDS):
        # Two ways to say one thing: the file's must not win by being the other one.
        dotenv = {name: value for name, value in dotenv.items() if name not in _PASSWORDS}
    return {**dotenv, **os.environ}


@contextmanager
def connected(settings: Settings, *, grant: str, creates: bool = False) -> Iterator[ClickHouse]:
    """
    Hand out a connection, and close it.

    Args:
        settings: Where to.
        grant: The remedy when the user may not do what is done with it.
        creates: Whether embedded chDB may make its directory.

    Raises:
        SetupError: The directory of an embedded database is not there, or something else.
        DeliveryError: Whatever is raised inside.
    """
    target = settings.target
    require_directory(target, may_be_made=creates)
    connection = ClickHouse(target, create_table=False, async_insert=False)
    try:
        yield connection
    except SetupError as exc:
        if exc.code != _ACCESS_DENIED:
            raise
        raise SetupError(exc.problem, code=exc.code, remedy=grant) from exc
    finally:
        connection.close()


_ACCESS_DENIED = 497


def require_table(connection: ClickHouse, target: Target) -> None:
    """
    Do nothing unless there is no table of today's layout to work with.

    Raises:
        SetupError: It is missing, or has the layout of 2025.
    """
    table = existing_table(connection, target.database, target.table)
    if table is None:
        raise SetupError(
            f"{target} does not exist, or is not visible to this user",
            remedy="create it with: audit-handler init; or see: audit-handler check",
        )
    if table.is_older:
        raise SetupError(
            f"{target} has the layout of 2025, without the columns that this needs",
            remedy="upgrade it with: audit-handler init (applications may go on writing)",
        )


@contextmanager
def reading(settings: Settings) -> Iterator[Trail]:
    """
    Hand out the trail to read, and close its connection.

    Raises:
        SetupError: There is no table that can be read; see `require_table`.
        DeliveryError: Whatever is raised inside.
    """
    with connected(settings, grant=_READS) as connection:
        require_table(connection, settings.target)
        yield Trail(connection, settings.target)


# Times

_AGO = re.compile(r"(\d{1,6})\s*(m|min|h|d|w)")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _moment(text: str) -> datetime:
    """Read a time: so long ago, or an ISO date or time, in UTC where it names no zone."""
    try:
        if ago := _AGO.fullmatch(text.strip()):
            return datetime.now(timezone.utc) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        # Python 3.10 does not know the Z.
        moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text.strip()))
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is no time; use 30m, 24h, 7d, 2w, 2026-11-23 or 2026-11-23T04:05:06"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def period_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --since and --until to a command, which gets the *period* that they make."""

    @functools.wraps(command)
    def with_period(since: datetime, until: datetime | None, **given: Any) -> None:
        command(period=period(since, until), **given)

    until = click.option(
        "--until",
        type=_moment,
        metavar="TIME",
        help="Up to then; by default no end.",
    )
    since = click.option(
        "--since",
        type=_moment,
        metavar="TIME",
        default="7d",
        show_default=True,
        help="First time: 30m, 24h, 7d ago, or 2026-11-23, 2026-11-23T04:05 (UTC).",
    )
    return since(until(with_period))


def period(since: datetime, until: datetime | None) -> Period:
    """
    Return the stretch of time from *since* to *until*.

    Raises:
        ConfigurationError: It is empty, or of a time that ClickHouse's dates do not know.
    """
    # None means "no end", and a clock ahead of ours may have given a time of tomorrow.
    until = until or datetime.now(timezone.utc) + timedelta(days=1)
    if since >= until:
        raise ConfigurationError("--since is not before --until: nothing lies between them")
    if not 1970 <= since.year <= until.year <= 2148:
        raise ConfigurationError("--since and --until must lie between 1970 and 2148")
    return Period(since=since, until=until)
