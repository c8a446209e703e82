"""``spool``: the rows that wait, and the rows that ClickHouse rejected."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

import click
from rich.table import Table

from audit_handler.cli._options import as_json, spool_directory, spool_option, spool_settings
from audit_handler.cli._output import console, echo_json, table
from audit_handler.spool import DiskFiles, RejectedBatch, WaitingWriter, rejected, waiting

__all__ = ["spool"]


@click.group(invoke_without_command=True)
@spool_option
@as_json
@click.pass_context
def spool(ctx: click.Context, spool_dir: str | None, is_json: bool) -> None:
    """
    Show rows that wait or that ClickHouse rejected.

    Shows the whole spool, for every target (server, database and table). Run it as the
    application's user. It changes nothing, and is safe while the application runs.
    """
    ctx.obj = spool_dir
    if ctx.invoked_subcommand is not None:
        return
    settings = spool_settings(spool_dir)
    directory, limit = spool_directory(settings), settings.max_rejected_bytes
    now = time.time()
    writers = list(waiting(DiskFiles(), directory))
    batches = list(rejected(DiskFiles(), directory))
    if is_json:
        echo_json(
            {
                "spool_dir": str(directory),
                "waiting": [_writer_dict(writer, now) for writer in writers],
                "rejected": [_batch_dict(batch, now) for batch in batches],
                "max_rejected_bytes": limit,
            }
        )
        return
    click.echo(f"spool: {directory}")
    if not (writers or batches):
        click.echo("no row waits, and none was rejected")
    if writers:
        console().print(_waiting_table(writers, now))
    if batches:
        console().print(_rejected_table(batches, now))
        for target in sorted({batch.target for batch in batches}):
            kept = sum(batch.bytes for batch in batches if batch.target == target)
            click.echo(f"{target}: {kept:,} of {limit:,} bytes (AUDIT_MAX_REJECTED_BYTES)")
        click.echo(
            "fix the reason, then run with the dsn and table of the target: audit-handler replay"
        )


def _waiting_table(writers: Iterable[WaitingWriter], now: float) -> Table:
    columns = ("target", "writer", "process", "segments", "rows", "MiB", "oldest")
    rows = [
        (
            writer.target,
            writer.writer_id,
            "running" if writer.is_alive else "ended",
            writer.segments,
            writer.rows,
            writer.bytes / 1024**2,
            _age(now - writer.since),
        )
        for writer in writers
    ]
    return table(columns, rows, title="Waiting", right=("segments", "rows", "MiB", "oldest"))


def _rejected_table(batches: Iterable[RejectedBatch], now: float) -> Table:
    columns = ("target", "file", "rows", "age", "reason", "times")
    rows = [
        (batch.target, batch.path.name, batch.rows, _age(now - batch.since), reason, times)
        for batch in batches
        for reason, times in Counter(batch.reasons.values()).most_common(5) or [("", 0)]
    ]
    right = ("rows", "age", "times")
    return table(columns, rows, title="Rejected by ClickHouse", right=right, is_short=False)


def _writer_dict(writer: WaitingWriter, now: float) -> dict[str, Any]:
    shown = asdict(writer)
    return {**shown, "since": _utc(writer.since), "oldest_seconds": round(now - writer.since, 1)}


def _batch_dict(batch: RejectedBatch, now: float) -> dict[str, Any]:
    shown = {**asdict(batch), "path": str(batch.path), "reasons": dict(batch.reasons)}
    return {**shown, "since": _utc(batch.since), "oldest_seconds": round(now - batch.since, 1)}


def _utc(unix_seconds: float) -> str:
    return f"{datetime.fromtimestamp(unix_seconds, timezone.utc):%Y-%m-%d %H:%M:%S}"


def _age(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
