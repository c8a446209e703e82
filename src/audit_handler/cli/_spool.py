"""What waits, what was refused, and what can be done about it: ``spool`` and ``replay``."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from audit_handler._operations import replay as _replay
from audit_handler.cli._options import (
    as_json,
    connected,
    settings_options,
    spool_directory,
    spool_directory_alone,
    spool_option,
)
from audit_handler.cli._output import (
    console,
    csv_line,
    echo_json,
    ndjson_line,
    private_file,
    safe,
    table,
    text_of,
)
from audit_handler.config import Settings
from audit_handler.schema import WRITTEN_COLUMNS
from audit_handler.spool import (
    DiskFiles,
    RejectedBatch,
    WaitingWriter,
    rejected,
    rejected_directory,
    spooled_rows,
    waiting,
)

__all__ = ["replay", "spool"]

_WRITES = "grant INSERT and SELECT(writer_id, seq, event_date) on the table to the user of the dsn"
_MARKS = ("spool_state", "spool_reason")
_NUMBERS = ("seq", "status_code", "response_time_ms")
_BATCH_ROWS = 10_000


@click.group(invoke_without_command=True)
@spool_option
@as_json
@click.pass_context
def spool(ctx: click.Context, spool_dir: str | None, is_json: bool) -> None:
    """
    Show the rows that are not in ClickHouse: what waits, and what it refused.

    All of the spool is shown, whatever table its rows are for. Changes nothing, and may be run
    beside the application, as its user.
    """
    ctx.obj = spool_dir
    if ctx.invoked_subcommand is not None:
        return
    directory = spool_directory_alone(spool_dir)
    now = time.time()
    writers = list(waiting(DiskFiles(), directory))
    batches = list(rejected(DiskFiles(), directory))
    if is_json:
        echo_json(
            {
                "spool_dir": str(directory),
                "waiting": [_writer_dict(writer, now) for writer in writers],
                "rejected": [_batch_dict(batch, now) for batch in batches],
            }
        )
        return
    click.echo(f"spool: {directory}")
    if not (writers or batches):
        click.echo("nothing waits, and nothing was refused")
    if writers:
        heads = ("target", "writer", "process", "segments", "rows", "MiB", "oldest")
        rows = [
            (
                writer.target,
                writer.writer_id,
                "lives" if writer.is_alive else "has ended",
                writer.segments,
                writer.rows,
                writer.bytes / 1024**2,
                _age(now - writer.since),
            )
            for writer in writers
        ]
        numbers = ("segments", "rows", "MiB", "oldest")
        console().print(table(heads, rows, title="Waiting", right=numbers))
    if batches:
        rows_of = [
            (batch.target, batch.path.name, batch.rows, _age(now - batch.since), reason, times)
            for batch in batches
            for reason, times in Counter(batch.reasons.values()).most_common(5) or [("", 0)]
        ]
        columns = ("target", "file", "rows", "for", "reason", "times")
        right = ("rows", "for", "times")
        title = "Refused by ClickHouse"
        console().print(table(columns, rows_of, title=title, right=right, is_short=False))
        click.echo("mend the reason, then with the target's dsn and table: audit-handler replay")


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


@spool.command()
@spool_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(["ndjson", "csv", "parquet"]),
    default="ndjson",
    show_default=True,
)
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file; else stdout."
)
@click.pass_obj
def export(before: str | None, spool_dir: str | None, format_: str, output: Path | None) -> None:
    """
    Copy every row in the spool to a file, for a look or for safety. They stay in the spool.

    Each row has spool_state (waiting or rejected) and spool_reason besides its columns.
    """
    rows = _rows(spool_directory_alone(spool_dir or before))
    if format_ == "parquet":
        if output is None:
            raise click.UsageError("--format parquet needs --output FILE")
        click.echo(f"{_write_parquet(output, rows):,} rows in {output}", err=True)
        return
    lines = map(ndjson_line, rows) if format_ == "ndjson" else _csv(rows)
    if output is None:
        for line in lines:
            click.echo(line)
        return
    count = 0 if format_ == "ndjson" else -1  # the head of a CSV is no row
    with private_file(output) as file:
        for line in lines:
            file.write(f"{line}\n")
            count += 1
    click.echo(f"{count:,} rows in {output}", err=True)


def _rows(directory: Path) -> Iterator[dict[str, Any]]:
    for each in spooled_rows(DiskFiles(), directory):
        state = "rejected" if each.is_rejected else "waiting"
        yield {**each.row, "spool_state": state, "spool_reason": each.reason}


def _csv(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    columns = (*WRITTEN_COLUMNS, *_MARKS)
    yield csv_line(columns)
    for row in rows:
        yield csv_line([row.get(name) for name in columns])


def _write_parquet(output: Path, rows: Iterator[dict[str, Any]]) -> int:
    """Write a Parquet file of text columns, and numbers where the table has them."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise click.UsageError(
            "--format parquet needs an extra: pip install 'audit-handler[parquet]'"
        ) from None
    schema = pyarrow.schema(
        (name, pyarrow.int64() if name in _NUMBERS else pyarrow.string())
        for name in (*WRITTEN_COLUMNS, *_MARKS)
    )
    count = 0
    with private_file(output, "wb") as file, parquet.ParquetWriter(file, schema) as writer:
        while batch := [
            {name: _parquet_value(name, row.get(name)) for name in schema.names}
            for row in itertools.islice(rows, _BATCH_ROWS)
        ]:
            writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))
            count += len(batch)
    return count


def _parquet_value(name: str, value: Any) -> Any:
    if value is None or (name in _NUMBERS and isinstance(value, int)):
        return value
    # A rejected row may have anything there.
    return None if name in _NUMBERS else text_of(value)


@click.command()
@settings_options("spool_dir")
@as_json
def replay(settings: Settings, is_json: bool) -> None:
    """
    Offer rows that ClickHouse refused again, after what refused them was mended.

    They are in rejected/ of the application's spool, with the reasons beside them. A row that is
    stored already is not stored twice, however often this is run. Exit code 1 if any is refused
    again, or if all that there is was refused by other tables than this one.
    """
    directory = spool_directory(settings)
    own = settings.target.directory_name
    with connected(settings, grant=_WRITES) as connection:
        replayed = _replay.replay(DiskFiles(), directory / own, connection)
    elsewhere: Counter[str] = Counter()
    for batch in rejected(DiskFiles(), directory):
        if batch.target != own:
            elsewhere[batch.target] += batch.rows
    if is_json:
        echo_json({**asdict(replayed), "elsewhere": elsewhere})
    else:
        click.echo(
            f"stored {replayed.stored}, known already {replayed.known}, "
            f"refused again {replayed.refused}"
        )
    for target, rows in elsewhere.items():
        click.echo(
            f"{rows:,} rows of {safe(target)} are for another table: replay them with its --dsn, "
            "--database and --table",
            err=True,
        )
    if replayed.refused:
        raise click.ClickException(
            f"see the reasons in {safe(str(rejected_directory(directory / own)))}"
        )
    if elsewhere and not (replayed.stored or replayed.known):
        raise click.exceptions.Exit(1)
