"""``load``: test events through the real handler, counted in ClickHouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from audit_handler._operations.load import Loaded
from audit_handler._operations.load import load as load_rows
from audit_handler.cli._connections import LOOKS_UP, connected, require_table
from audit_handler.cli._options import as_json, settings_options
from audit_handler.cli._output import console, echo_json, safe
from audit_handler.config import Settings
from audit_handler.handler import AuditHandler
from audit_handler.status import Status

__all__ = ["load"]


@click.command()
@settings_options("spool_dir")
@click.argument("rows", type=click.IntRange(1, 100_000_000), default=10_000)
@click.option(
    "--timeout",
    type=click.FloatRange(1, 86_400),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Time to wait for the last row after all rows are logged.",
)
@as_json
def load(settings: Settings, rows: int, timeout: float, is_json: bool) -> None:
    """
    Log test events and count them in ClickHouse.

    Logs ROWS events (default: 10,000) of 20 users through the real handler. They stay in the
    trail, with agent_id test-user-01 to test-user-20 and a session_id that starts with load-.

    Exit code 1 if not every row is stored exactly once.
    """
    with connected(settings, grant=LOOKS_UP) as connection:
        # Fail now, not after a minute of retries.
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
    """Show two progress bars on a terminal; yield the function that moves them."""
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
        "are lost with the spool in memory"
        if settings.spool_dir is None
        else f"wait in {settings.spool_dir} for the next process with this spool and target"
    )
    click.echo(
        f"interrupted: {status.rows_emitted:,} rows logged, {status.rows_stored:,} stored; "
        f"{status.rows_waiting:,} {waiting}",
        err=True,
    )


def _echo_loaded(loaded: Loaded, settings: Settings) -> None:
    batches = "1 batch" if loaded.batches == 1 else f"{loaded.batches:,} batches"
    click.echo(
        f"{loaded.arrived:,} rows in {batches}, {loaded.seconds:.2f} s, "
        f"{loaded.rows_per_second:,.0f} rows/s"
    )
    if loaded.is_whole:
        click.echo(
            f"every row is stored once; to see them: audit-handler search --session {loaded.run}"
        )
        return
    click.echo(
        f"NOT COMPLETE: {loaded.sent:,} logged, {loaded.arrived:,} stored, {loaded.doubled:,} "
        "stored twice; the missing rows wait or were rejected; see: audit-handler spool"
        f"{'' if settings.spool_dir is None else f' --spool-dir {settings.spool_dir}'}",
        err=True,
    )
    if loaded.last_error:
        click.echo(f"the last error: {safe(loaded.last_error)}", err=True)
