"""Whether a trail works: ``check`` and ``load``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from audit_handler._operations.check import Finding
from audit_handler._operations.check import check as check_steps
from audit_handler._operations.load import Loaded
from audit_handler._operations.load import load as load_rows
from audit_handler.cli._options import LOOKS_UP, as_json, connected, require_table, settings_options
from audit_handler.cli._output import console, echo_json, safe
from audit_handler.clickhouse import ClickHouse
from audit_handler.config import Settings
from audit_handler.handler import AuditHandler
from audit_handler.spool import DiskFiles
from audit_handler.status import Status
from audit_handler.target import Target

__all__ = ["check", "load"]

_CHECK_TIMEOUTS = {"connect_timeout": 10, "send_receive_timeout": 10}
# Seconds. The handler has a minute, because nobody waits for it.
_STATES = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "dim"}


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
