"""From nothing to a trail: ``init``, ``check``, ``load``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from audit_handler._checks import Finding
from audit_handler._checks import check as check_steps
from audit_handler._load import Loaded
from audit_handler._load import load as load_rows
from audit_handler.cli._options import LOOKS_UP, as_json, connected, require_table, settings_options
from audit_handler.cli._output import console, echo_json, safe
from audit_handler.clickhouse import ClickHouse
from audit_handler.config import Settings
from audit_handler.handler import AuditHandler
from audit_handler.schema import DEFAULT_RETENTION, changes, existing_table, statements
from audit_handler.spool import DiskFiles
from audit_handler.status import Status
from audit_handler.target import Target
from audit_handler.upgrade import Month, upgrade

__all__ = ["check", "init", "load"]

_CREATES = "use an administrator: one with CREATE, ALTER and SELECT on the database"
_CHECK_TIMEOUTS = {"connect_timeout": 10, "send_receive_timeout": 10}
# Seconds. The handler has a minute, because nobody waits for it.
_STATES = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "dim"}


@click.command()
@settings_options("cluster")
@click.option(
    "--retention",
    metavar="TIME",
    help=f"How long a new table keeps a row: '90 DAY', '18 MONTH'; by default {DEFAULT_RETENTION}.",
)
@click.option("--print", "only_print", is_flag=True, help="Print the SQL, and run nothing.")
@as_json
def init(settings: Settings, retention: str | None, only_print: bool, is_json: bool) -> None:
    """
    Create database and tables, or bring those that exist up to date.

    On one server, on a --cluster (replicated tables, and a Distributed one in front of them), or in
    a directory with embedded chDB. A table of the layout of 2025 is set aside and copied into a new
    one, month by month, while applications write; run again, it goes on where it was interrupted.
    What the operator has added is left alone, and so is a column of another type. May be run again
    at any time.
    """
    target = settings.target
    sql = statements(target, retention=retention or DEFAULT_RETENTION)
    if only_print:
        if is_json:
            echo_json({"statements": sql})
        else:
            click.echo(";\n\n".join(sql) + ";")
        return
    done: list[str] = []
    left: list[str] = []

    def tell(what: str) -> None:
        done.append(what)
        if not is_json:
            click.echo(safe(what))

    with connected(settings, grant=_CREATES, creates=True) as connection:
        name = f"{target.table}_local" if target.cluster else target.table
        rows = existing_table(connection, target.database, name)
        aside = existing_table(connection, target.database, f"{name}_before_upgrade")
        if rows is not None and retention:
            left.append(f"retention of {name}, which exists; see sql/retention/")
        if aside is not None or (rows is not None and rows.is_older):
            _upgrade(connection, settings, name, retention or DEFAULT_RETENTION, tell)
        creating = dict(zip(statements(target), sql, strict=True))
        for change in changes(connection, target):
            if change.sql is None:
                left.append(f"{change.what}; {change.remedy}")
                continue
            connection.command(creating.get(change.sql, change.sql))
            tell(f"{change.what}: {'created' if change.sql in creating else 'added'}")
    if is_json:
        echo_json({"target": str(target), "changed": done, "left": left})
        return
    if not done:
        click.echo("nothing to change")
    for what in left:
        click.echo(f"left alone: {safe(what)}", err=True)
    click.echo(f"ready: {target}")


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


@click.command()
@settings_options("cluster", "spool_dir")
@click.option("--no-row", is_flag=True, help="Send no test row.")
@as_json
def check(settings: Settings, no_row: bool, is_json: bool) -> None:
    """
    Find out why nothing arrives: try each step of a row's way, and name the remedy.

    Run it as the application's user, with its options and environment. The test row stays in the
    trail, with the action AUDIT_CHECK: to delete it would take a grant that nobody who writes
    audits should have. Exit code 1 if a step failed; a warning is none.
    """
    out = console()
    found: list[Finding] = []
    # None of its own errors: a step that fails is an answer.
    connection = ClickHouse(_impatient(settings.target), create_table=False, async_insert=False)
    with closing(connection), _spinner(out, is_json) as on_step:
        for finding in check_steps(
            settings,
            connection,
            DiskFiles(),
            now=time.time,
            sends_row=not no_row,
            on_step=on_step,
        ):
            found.append(finding)
            if not is_json:
                out.print(_line(finding), soft_wrap=True)
    failed = [finding.step for finding in found if finding.state == "failed"]
    if is_json:
        echo_json({"is_ok": not failed, "steps": [asdict(finding) for finding in found]})
    if failed:
        raise click.exceptions.Exit(1)


def _impatient(target: Target) -> Target:
    """Return *target* with timeouts for somebody who waits for the answer."""
    if target.is_embedded:
        return target
    options = {**_CHECK_TIMEOUTS, **target.client_options}
    return replace(target, client_options=options)


@contextmanager
def _spinner(out: Console, is_json: bool) -> Iterator[Callable[[str], object]]:
    """Show on a terminal which step is being tried; hand out what is told its name."""
    if is_json or not out.is_terminal:
        yield lambda _step: None
        return
    with out.status("", spinner="line") as status:
        yield status.update


def _line(finding: Finding) -> Text:
    line = Text.assemble(
        (f"{finding.state:8}", _STATES[finding.state]),
        (f"{finding.step:14}", "bold"),
        safe(finding.detail),
    )
    if finding.remedy:
        line.append(f"\n{'':8}{'-> remedy':14}", "bold").append(safe(finding.remedy))
    return line


@click.command()
@settings_options("spool_dir")
@click.argument("rows", type=click.IntRange(1, 100_000_000), default=10_000)
@click.option(
    "--timeout",
    type=click.FloatRange(1, 86_400),
    default=60.0,
    show_default=True,
    help="Seconds to wait for the last row after all are logged.",
)
@as_json
def load(settings: Settings, rows: int, timeout: float, is_json: bool) -> None:
    """
    Log ROWS test audits (10,000 by default) of 20 users through the real handler, and count them in
    ClickHouse.

    They stay in the trail: agent_id test-user-01 to test-user-20, session_id load-... Exit code 1
    if not all arrived.
    """
    with connected(settings, grant=LOOKS_UP) as connection:
        # Said at once, and not after a minute of retries.
        require_table(connection, settings.target)
    handler = AuditHandler.from_settings(settings)
    try:
        with connected(settings, grant=LOOKS_UP) as connection, _progress(rows, is_json) as move:
            loaded = load_rows(handler, connection, rows=rows, timeout=timeout, on_progress=move)
    except KeyboardInterrupt:
        _echo_interrupted(handler.status(), settings)
        handler.close(0.0)
        raise click.exceptions.Exit(1) from None
    if is_json:
        per_second = round(loaded.rows_per_second, 1)
        echo_json({**asdict(loaded), "rows_per_second": per_second, "is_whole": loaded.is_whole})
    else:
        _echo_loaded(loaded, settings)
    if not loaded.is_whole:
        raise click.exceptions.Exit(1)


@contextmanager
def _progress(rows: int, is_json: bool) -> Iterator[Callable[[int, int], None]]:
    """Show two bars on a terminal; hand out what moves them."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    out = console(to_stderr=True)
    is_quiet = is_json or not out.is_terminal
    with Progress(*columns, console=out, transient=True, disable=is_quiet) as progress:
        logged = progress.add_task("logged", total=rows)
        stored = progress.add_task("stored", total=rows)

        def move(rows_logged: int, rows_stored: int) -> None:
            progress.update(logged, completed=rows_logged)
            progress.update(stored, completed=min(rows, rows_stored))

        yield move


def _echo_interrupted(status: Status, settings: Settings) -> None:
    waiting = (
        "are given up with a spool in memory"
        if settings.spool_dir is None
        else f"wait in {settings.spool_dir}, for the next process with this spool and target"
    )
    click.echo(
        f"interrupted: {status.rows_emitted:,} rows logged, {status.rows_stored:,} stored; "
        f"{status.rows_waiting:,} {waiting}",
        err=True,
    )


def _echo_loaded(loaded: Loaded, settings: Settings) -> None:
    click.echo(
        f"{loaded.arrived:,} rows in {loaded.batches:,} batches, {loaded.seconds:.2f} s, "
        f"{loaded.rows_per_second:,.0f} rows/s"
    )
    if loaded.is_whole:
        click.echo(f"all arrived, once: search --session {loaded.run}")
        return
    click.echo(
        f"NOT WHOLE: {loaded.sent:,} sent, {loaded.arrived:,} arrived, {loaded.doubled:,} doubled; "
        f"what is missing waits or was refused, see: audit-handler spool"
        f"{'' if settings.spool_dir is None else f' --spool-dir {settings.spool_dir}'}",
        err=True,
    )
    if loaded.last_error:
        click.echo(f"the last trouble was {safe(loaded.last_error)}", err=True)
