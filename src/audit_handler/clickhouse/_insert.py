"""Insert rows: the settings, and the body by HTTP or for the embedded engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from audit_handler.clickhouse._loading import zstd

if TYPE_CHECKING:
    from pathlib import Path

    from clickhouse_connect.driver.client import Client

__all__ = ["compress", "insert_file", "insert_settings", "post"]


def insert_settings(*, async_insert: bool) -> dict[str, Any]:
    """
    Return the settings of every insert. All are explicit, because defaults differ between versions
    of ClickHouse.
    """
    settings: dict[str, Any] = {
        "async_insert": int(async_insert),
        # An acknowledgement means that the shards have the rows, not only a queue of this server.
        "distributed_foreground_insert": 1,
        "deduplicate_blocks_in_dependent_materialized_views": 1,
        # One block for each segment: otherwise a retry could store half of it again. It is also
        # faster at 10,000 rows.
        "input_format_parallel_parsing": 0,
        # A row also has its extras as keys, in case the table has a column for one.
        "input_format_skip_unknown_fields": 1,
    }
    if async_insert:
        settings |= {"wait_for_async_insert": 1, "async_insert_deduplicate": 1}
    return settings


def post(
    client: Client, table: str, columns: Sequence[str], lines: bytes, settings: dict[str, Any]
) -> None:
    """Insert *lines* in one compressed HTTP request."""
    # A generator, because the driver re-sends bytes by itself after a reset, without our look-up.
    # One chunk, because each chunk is a system call, and each of those may cost a wait for the
    # interpreter lock.
    body = (chunk for chunk in [compress(lines)])
    client.raw_insert(
        table, columns, body, settings=settings, fmt="JSONEachRow", compression="zstd"
    )


def insert_file(
    client: Client, table: str, columns: Sequence[str], path: Path, settings: Mapping[str, Any]
) -> None:
    """Insert the rows of the file *path*, which the embedded engine reads in place."""
    names = ", ".join(f"`{name}`" for name in columns)
    values = ", ".join(f"{name} = {_literal(value)}" for name, value in settings.items())
    source = f"INFILE {_literal(str(path))} COMPRESSION 'none' SETTINGS {values}"
    client.command(
        f"INSERT INTO {table} ({names}) FROM {source} FORMAT JSONEachRow", use_database=False
    )


def compress(data: bytes) -> bytes:
    """Compress with zstd level 1, to a tenth. Level 3 is slower and gains nothing on JSON rows."""
    compressed: bytes = zstd().compress(data, level=1)
    return compressed


def _literal(value: object) -> str:
    """Return *value* as a ClickHouse literal."""
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
