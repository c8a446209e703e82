"""``spool export``: every row of the spool as ndjson, CSV or Parquet."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from audit_handler.cli._options import spool_directory_alone, spool_option
from audit_handler.cli._output import csv_line, ndjson_line, private_file, text_of
from audit_handler.schema import WRITTEN_COLUMNS
from audit_handler.spool import DiskFiles, spooled_rows

__all__ = ["export"]

_MARKS = ("spool_state", "spool_reason")
_NUMBERS = ("seq", "status_code", "response_time_ms")

# Rows of one Parquet row group, which is built in memory.
_BATCH_ROWS = 10_000


@click.command()
@spool_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(["ndjson", "csv", "parquet"]),
    default="ndjson",
    show_default=True,
    help="Output format. parquet needs --output.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to FILE, which only this user may read.  [default: stdout]",
)
@click.pass_obj
def export(before: str | None, spool_dir: str | None, format_: str, output: Path | None) -> None:
    """
    Copy every row of the spool to a file or stdout.

    The rows stay in the spool. Each row has two more columns: spool_state (waiting or rejected) and
    spool_reason.
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
    count = 0 if format_ == "ndjson" else -1  # the header of a CSV is not a row
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
    """Write a Parquet file, with integers in the columns _NUMBERS and text in all others."""
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
    # A rejected row may hold a value of any type.
    return None if name in _NUMBERS else text_of(value)
