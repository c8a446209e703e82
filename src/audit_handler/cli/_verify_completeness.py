"""``verify-completeness``: rows that are missing, or stored twice."""

from __future__ import annotations

from typing import Any

import click

from audit_handler.cli._connections import reading
from audit_handler.cli._options import as_json, settings_options
from audit_handler.cli._output import console, echo_json, table
from audit_handler.cli._periods import period_options
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
    show_default=True,
    metavar="N",
    help="Fail if the period holds fewer than N rows.",
)
@as_json
def verify_completeness(
    settings: Settings, period: Period, expect_rows: int, is_json: bool
) -> None:
    """
    Find rows that are missing or stored twice.

    Each process numbers its rows 1, 2, 3, ... A missing number is a row that was lost, was
    rejected, still waits in a spool while later rows are stored, or was dropped by retention. The
    numbers cannot show rows after the last stored one. The command therefore also counts the rows
    of this table that wait or were rejected in the spool of this machine. Use --expect-rows 1 for a
    trail that is never idle.

    Exit code 1 if rows are missing, repeated or rejected, or if there are fewer rows than
    --expect-rows. Waiting rows alone are not a failure.
    """
    with reading(settings) as trail:
        writers = trail.completeness(period)
    bad = [writer for writer in writers if not writer.is_complete]
    total = sum(writer.rows for writer in writers)
    waits, refused = _spooled(settings)
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
                "spool": {"waiting": waits, "rejected": refused},
            }
        )
    else:
        if bad:
            columns = ("writer", "service", "rows", "from", "to", "missing", "repeated", "gaps")
            rows = [(*_numbers(writer), _gaps(writer)) for writer in bad]
            numbers = ("rows", "from", "to", "missing", "repeated")
            console().print(table(columns, rows, right=numbers))
        click.echo(
            f"{'complete' if is_complete else 'NOT COMPLETE'}: "
            f"{total:,} rows of {len(writers):,} writers "
            f"since {period.since:%Y-%m-%d %H:%M} UTC, "
            f"{sum(writer.missing for writer in bad):,} missing, "
            f"{sum(writer.repeated for writer in bad):,} repeated"
        )
        if total < expect_rows:
            click.echo(f"--expect-rows {expect_rows:,} was not reached")
        if waits or refused:
            click.echo(
                f"spool of this machine: {waits:,} rows wait, {refused:,} were rejected; see: "
                f"audit-handler spool --spool-dir {settings.spool_dir}"
            )
    if not is_complete:
        raise click.exceptions.Exit(1)


def _spooled(settings: Settings) -> tuple[int, int]:
    """Count the rows of the table that wait in the spool of this machine, and the rejected ones."""
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
    names = ("writer_id", "service", "rows", "first_seq", "last_seq", "missing", "repeated")
    return {**dict(zip(names, _numbers(writer), strict=True)), "gaps": writer.gaps}
