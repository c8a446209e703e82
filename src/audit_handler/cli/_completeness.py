"""``verify-completeness``: what is missing, or stored twice."""

from __future__ import annotations

from typing import Any

import click

from audit_handler.cli._options import as_json, period_options, reading, settings_options
from audit_handler.cli._output import console, echo_json, table
from audit_handler.config import Settings
from audit_handler.spool import DiskFiles, rejected, waiting
from audit_handler.trail import Completeness, Period

__all__ = ["verify_completeness"]


@click.command()
@settings_options("spool_dir")
@period_options
@click.option(
    "--expect-rows",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Not complete with fewer rows than that.",
)
@as_json
def verify_completeness(
    settings: Settings, period: Period, expect_rows: int, is_json: bool
) -> None:
    """
    Look for rows that are missing or stored twice. Exit code 1 if there are any.

    Each process numbers its rows 1, 2, 3, ... A missing number is a row that was lost, was rejected
    (see: audit-handler spool), or still waits in a spool while later ones are stored; or one that
    retention has dropped. The numbers do not tell of rows after the last one that arrived: what
    this machine's spool holds for the table is told too, and rejected rows there are exit code 1;
    --expect-rows 1 is for a trail in which something always happens.
    """
    with reading(settings) as trail:
        writers = trail.completeness(period)
    bad = [writer for writer in writers if not writer.is_complete]
    total = sum(writer.rows for writer in writers)
    wait, refused = _spooled(settings)
    is_complete = not (bad or refused or total < expect_rows)
    if is_json:
        echo_json(
            {
                "is_complete": is_complete,
                "writers": len(writers),
                "rows": total,
                "missing": sum(writer.missing for writer in writers),
                "repeated": sum(writer.repeated for writer in writers),
                "incomplete": [_as_dict(writer) for writer in bad],
                "spool": {"waiting": wait, "rejected": refused},
            }
        )
    else:
        if bad:
            heads = ("writer", "service", "rows", "from", "to", "missing", "repeated", "gaps")
            rows = [(*_numbers(writer), _gaps(writer)) for writer in bad]
            numbers = ("rows", "from", "to", "missing", "repeated")
            console().print(table(heads, rows, right=numbers))
        click.echo(
            f"{'complete' if is_complete else 'NOT COMPLETE'}: "
            f"{total:,} rows of {len(writers):,} writers "
            f"since {period.since:%Y-%m-%d %H:%M} UTC, "
            f"{sum(writer.missing for writer in bad):,} missing, "
            f"{sum(writer.repeated for writer in bad):,} repeated"
        )
        if total < expect_rows:
            click.echo(f"--expect-rows {expect_rows}: so many were expected at least")
        if wait or refused:
            click.echo(
                f"on this machine: {wait:,} rows wait to be sent, {refused:,} were rejected; see: "
                f"audit-handler spool --spool-dir {settings.spool_dir}"
            )
    if not is_complete:
        raise click.exceptions.Exit(1)


def _spooled(settings: Settings) -> tuple[int, int]:
    """Return how many rows for the table wait in this machine's spool, and how many it rejected."""
    if settings.spool_dir is None:
        return 0, 0
    own, files = settings.target.directory_name, DiskFiles()
    return (
        sum(each.rows for each in waiting(files, settings.spool_dir) if each.target == own),
        sum(each.rows for each in rejected(files, settings.spool_dir) if each.target == own),
    )


def _numbers(writer: Completeness) -> tuple[Any, ...]:
    return (
        writer.writer_id,
        writer.service,
        writer.rows,
        writer.first_seq,
        writer.last_seq,
        writer.missing,
        writer.repeated,
    )


def _gaps(writer: Completeness) -> str:
    shown = [f"{a}" if a == b else f"{a}-{b}" for a, b in writer.gaps[:10]]
    return ", ".join([*shown, "..."] if len(writer.gaps) > len(shown) else shown)


def _as_dict(writer: Completeness) -> dict[str, Any]:
    heads = ("writer_id", "service", "rows", "first_seq", "last_seq", "missing", "repeated")
    return {**dict(zip(heads, _numbers(writer), strict=True)), "gaps": writer.gaps}
