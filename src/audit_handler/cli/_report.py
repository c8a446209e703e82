"""``report``: a summary of a period, on the terminal, as a page or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from audit_handler.cli._connections import reading
from audit_handler.cli._options import as_json, settings_options
from audit_handler.cli._output import block, console, echo_json, private_file, table
from audit_handler.cli._periods import period_options
from audit_handler.cli._report_figures import NUMBERS, Report, make_report, tables
from audit_handler.cli._report_page import page
from audit_handler.config import Settings
from audit_handler.trail import Period

__all__ = ["report"]

# Blocks of the longest bar.
_BAR_WIDTH = 60


@click.command()
@settings_options()
@period_options
@click.option(
    "--top",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    metavar="N",
    help="Number of actions, users and failures.",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the report to FILE, a self-contained HTML page.",
)
@as_json
def report(settings: Settings, period: Period, top: int, html: Path | None, is_json: bool) -> None:
    """
    Summarize activity, users and failures.

    The chart has one bar per hour for a period of up to 48 hours, per UTC day for up to 60 days,
    and per week (named by its Monday) or per month for a longer one.
    """
    with reading(settings) as trail:
        made = make_report(trail, str(settings.target), period, top)
    if html is not None:
        with private_file(html) as file:
            file.write(page(made))
        click.echo(f"written: {html}", err=is_json)
    if is_json:
        echo_json(asdict(made))
    elif html is None:
        _print(made)


def _print(made: Report) -> None:
    out = console()
    out.print(Text(f"{made.target}, {made.since} to {made.until}", "bold"), soft_wrap=True)
    click.echo(f"{made.events:,} events, {made.failures:,} of them failures")
    if not made.events:
        return
    most = max(row["events"] for row in made.activity)
    out.print(Text("\nActivity", "bold"), Text(" (red: failures)", "dim"), sep="")
    for row in made.activity:
        failures = round(_BAR_WIDTH * row["failures"] / most)
        # A period with events has at least one block.
        others = max(row["events"] > 0, round(_BAR_WIDTH * row["events"] / most)) - failures
        bar = Text.assemble((block() * failures, "red"), (block() * others, "green"))
        out.print(Text(f"{row['time']} ").append(bar).append(f" {row['events']:,}"), soft_wrap=True)
    for title, columns, rows in tables(made):
        out.print()
        # Headings break between words, and times at seconds: the table fits 80 columns.
        cells = [[_cell(name, row[name]) for name in columns] for row in rows]
        out.print(table(_headings(columns), cells, title=title, right=_headings(NUMBERS)))


def _headings(columns: Sequence[str]) -> list[str]:
    return [name.replace("_", " ") for name in columns]


def _cell(column: str, value: Any) -> Any:
    return value[: len("2026-11-23 04:05:06")] if column.endswith("_time") else value
