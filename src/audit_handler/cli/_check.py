"""``check``: each step from the application to the table, and the remedy of a failed step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace

import click
from rich.console import Console
from rich.text import Text

from audit_handler._operations.check import Finding
from audit_handler._operations.check import check as check_steps
from audit_handler.cli._options import as_json, settings_options
from audit_handler.cli._output import console, echo_json, safe
from audit_handler.clickhouse import ClickHouse
from audit_handler.config import Settings
from audit_handler.spool import DiskFiles
from audit_handler.target import Target

__all__ = ["check"]

# Seconds. The handler waits a minute, because no person waits for it.
_CHECK_TIMEOUTS = {"connect_timeout": 10, "send_receive_timeout": 10}

_STATES = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "dim"}


@click.command()
@settings_options("cluster", "spool_dir")
@click.option("--no-row", is_flag=True, help="Do not insert a test row.")
@as_json
def check(settings: Settings, no_row: bool, is_json: bool) -> None:
    """
    Test each step from the application to the table.

    Run this command as the application's user, with its options and environment. Each step that
    fails names its remedy. The test row, with the action AUDIT_CHECK, stays in the trail: deleting
    it would need a grant that a user who writes audit events should not have.

    Exit code 1 if a step failed. A warning is not a failure.
    """
    out = console()
    found: list[Finding] = []
    # Not connected(): a failed step is an answer here, not an error.
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
    """Return *target* with timeouts for an operator who waits for the answer."""
    if target.is_embedded:
        return target
    options = {**_CHECK_TIMEOUTS, **target.client_options}
    return replace(target, client_options=options)


@contextmanager
def _spinner(out: Console, is_json: bool) -> Iterator[Callable[[str], object]]:
    """Show the current step on a terminal; yield the function that takes its name."""
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
