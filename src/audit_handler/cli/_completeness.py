"""``verify-completeness``: what is missing, or stored twice."""

from __future__ import annotations

from typing import Any

import click

from audit_handler.cli._options import as_json, period_options, reading, settings_options
from audit_handler.cli._output import console, echo_json, table
from audit_handler.config import Settings
from audit_handler.trail import Completeness, Period

__all__ = ["verify_completeness"]


@click.command()
@settings_options()
@period_options
@as_json
def verify_completeness(settings: Settings, period: Period, is_json: bool) -> None:
    """
    Look for rows that are missing or stored twice. Exit code 1 if there are any.

    Each process numbers its rows 1, 2, 3, ... A missing number is a row that was lost, was rejected
    (see: audit-handler spool), or still waits in a spool while later ones are stored; or one that
    retention has dropped. Rows after the last one that arrived cannot be missed by this.
    """
    with reading(settings) as trail:
        writers = trail.completeness(period)
    bad = [writer for writer in writers if not writer.is_complete]
    if is_json:
        echo_json(
            {
                "is_complete": not bad,
                "writers": len(writers),
                "rows": sum(writer.rows for writer in writers),
                "missing": sum(writer.missing for writer in writers),
                "repeated": sum(writer.repeated for writer in writers),
                "incomplete": [_as_dict(writer) for writer in bad],
            }
        )
    else:
        if bad:
            heads = ("writer", "service", "rows", "from", "to", "missing", "repeated", "gaps")
            rows = [(*_numbers(writer), _gaps(writer)) for writer in bad]
            numbers = ("rows", "from", "to", "missing", "repeated")
            console().print(table(heads, rows, right=numbers))
        total = sum(writer.rows for writer in writers)
        found = "NOT COMPLETE" if bad else "complete"
        click.echo(
            f"{found}: {total:,} rows of {len(writers):,} writers "
            f"since {period.since:%Y-%m-%d %H:%M} UTC, "
            f"{sum(writer.missing for writer in bad):,} missing, "
            f"{sum(writer.repeated for writer in bad):,} repeated"
        )
    if bad:
        raise click.exceptions.Exit(1)


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
