"""Insert rows: the settings, and the body by HTTP or for the embedded engine."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from audit_handler.clickhouse._acknowledgement import ForeignAnswer, require_acknowledgement
from audit_handler.clickhouse._ask import changeable
from audit_handler.clickhouse._loading import zstd
from audit_handler.clickhouse._shown import shown
from audit_handler.clickhouse._transport import transport_of
from audit_handler.errors import SetupError, UnconfirmedError

if TYPE_CHECKING:
    from pathlib import Path

    from clickhouse_connect.driver.client import Client

__all__ = [
    "compress",
    "identifier",
    "insert_file",
    "insert_lines",
    "insert_settings",
    "post",
    "post_to_nothing",
    "profile_settings",
]

_CODE = re.compile(r"\bCode: (\d+)")
# What a user's profile may have changed.
_PROFILE_SETTINGS = {
    # One block for each insert: a segment has at most 8 MiB. These are ClickHouse's defaults.
    "max_insert_block_size": 1_048_449,
    "max_insert_block_size_bytes": 0,
    "min_insert_block_size_rows": 1_048_449,
    "min_insert_block_size_bytes": 268_402_944,
    "use_strict_insert_block_limits": 0,
    "input_format_max_block_size_bytes": 0,
    # The token counts.
    "insert_deduplicate": 1,
    # Replaces `insert_deduplicate` since ClickHouse 26.2.
    "deduplicate_insert": "enable",
    # With "break", an insert that takes longer than `max_execution_time` ends without an error, and
    # the answer counts rows that are not stored.
    "timeout_overflow_mode": "throw",
    # Since ClickHouse 26.5, a key that differs from a column by case only goes into the column too:
    # an extra `Action` beside `action` rejects the row.
    "input_format_column_name_matching_mode": "match_case",
    # Rows are JSON of one form. With other values the table rejects all rows, or a column its
    # values.
    "input_format_json_read_objects_as_strings": 1,
    "input_format_json_read_arrays_as_strings": 1,
    "input_format_json_read_numbers_as_strings": 1,
    "input_format_json_read_bools_as_strings": 1,
    "input_format_json_map_as_array_of_tuples": 0,
    "input_format_json_named_tuples_as_objects": 1,
    "input_format_null_as_default": 1,
    "input_format_defaults_for_omitted_fields": 1,
    "input_format_force_null_for_omitted_fields": 0,
}


# Characters of the settings that only an insert has: above all its token.
_LONGEST_SETTINGS = 300


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
        # One view after the other: then a view that fails leaves all rows of the insert stored. In
        # parallel they may be stored or not.
        "parallel_view_processing": 0,
        # One block for each segment: of several, a bad row leaves some stored. It is also faster at
        # 10,000 rows.
        "input_format_parallel_parsing": 0,
        # A bad row fails its insert, whatever the dsn, client_options or the user's profile say.
        "input_format_allow_errors_num": 0,
        "input_format_allow_errors_ratio": 0,
        # A row also has its extras as keys, in case the table has a column for one.
        "input_format_skip_unknown_fields": 1,
    }
    if async_insert:
        settings |= {"wait_for_async_insert": 1, "async_insert_deduplicate": 1}
    return settings


def profile_settings(client: Client) -> dict[str, Any]:
    """
    Return the settings of an insert that must not be those of the user's profile. Settings that the
    server does not know, or that the user may not change, are left out.

    Raises:
        SetupError: The user's profile fixes a setting that loses rows.
    """
    settings = changeable(client, _PROFILE_SETTINGS)
    if (
        "timeout_overflow_mode" not in settings
        and _value(client, "timeout_overflow_mode") == "break"
        and _value(client, "max_execution_time") != "0"
    ):
        raise SetupError(
            "timeout_overflow_mode=break of the user's profile loses rows: ClickHouse acknowledges "
            "an insert that it has not stored",
            remedy="remove it from the profile, or let the user change it",
        )
    return settings


def _value(client: Client, setting: str) -> str | None:
    known = client.server_settings.get(setting)
    return None if known is None else str(known.value)


def post(
    client: Client,
    table: str,
    columns: Sequence[str],
    lines: bytes,
    rows: int,
    settings: dict[str, Any],
    secrets: Collection[str],
) -> None:
    """
    Insert *lines*, which are *rows* rows, in one compressed HTTP request.

    Raises:
        UnconfirmedError: The answer does not acknowledge each of the rows.
    """
    # A generator, because the driver re-sends bytes by itself after a reset, without our look-up.
    # One chunk, because each chunk is a system call, and each of those may cost a wait for the
    # interpreter lock.
    body = (chunk for chunk in [compress(lines)])
    # The answer waits for the end of the insert, so that it has the final summary.
    settings = {**settings, "wait_end_of_query": 1}
    transport = transport_of(client)
    try:
        client.raw_insert(
            table, columns, body, settings=settings, fmt="JSONEachRow", compression="zstd"
        )
        answer = transport.answer if transport is not None else None
        if answer is None:
            raise UnconfirmedError("the driver does not show the answer to the insert")
        require_acknowledgement(answer, rows, is_async=bool(settings["async_insert"]))
    except ForeignAnswer as exc:
        raise exc.as_error(shown(str(exc), secrets), is_insert=True) from exc


def post_to_nothing(
    client: Client, table: str, columns: Sequence[str], lines: bytes, settings: Mapping[str, Any]
) -> None:
    """
    Send the body of `post` to a query that stores none of the rows. The URL is longer, because
    some proxies count it too.
    """
    body = (chunk for chunk in [compress(lines)])
    names = ", ".join(f"`{name}`" for name in columns) + "." * _LONGEST_SETTINGS
    nothing = (
        f"{table} (`writer_id`) SELECT writer_id FROM input('writer_id String') "  # noqa: S608  # a checked identifier
        f"WHERE 0 AND writer_id = {_literal(names)}"
    )
    client.raw_insert(
        nothing, None, body, settings=dict(settings), fmt="JSONEachRow", compression="zstd"
    )


def insert_lines(
    client: Client,
    table: str,
    columns: Sequence[str],
    lines: bytes,
    rows: int,
    settings: dict[str, Any],
) -> None:
    """
    Insert *lines*, which are *rows* rows, into the embedded engine, which counts them.

    Raises:
        UnconfirmedError: It counts fewer rows.
    """
    with _readable_errors(client):
        summary = client.raw_insert(table, columns, lines, settings=settings, fmt="JSONEachRow")
    if summary.written_rows < rows:
        raise UnconfirmedError(f"chDB counts {summary.written_rows} of {rows} rows as written")


def insert_file(
    client: Client, table: str, columns: Sequence[str], path: Path, settings: Mapping[str, Any]
) -> None:
    """
    Insert the rows of the file *path*, which the embedded engine reads in place. The driver returns
    no count of them; an insert that fails raises.
    """
    names = ", ".join(map(identifier, columns))
    values = ", ".join(f"{name} = {_literal(value)}" for name, value in settings.items())
    source = f"INFILE {_literal(str(path))} COMPRESSION 'none' SETTINGS {values}"
    with _readable_errors(client):
        client.command(
            f"INSERT INTO {table} ({names}) FROM {source} FORMAT JSONEachRow", use_database=False
        )


@contextmanager
def _readable_errors(client: Client) -> Iterator[None]:
    """
    Give an error of the embedded engine its code, name and text also if it quotes a value that is
    cut inside a character: that text is no UTF-8, and Python cannot read it.
    """
    from clickhouse_connect.driver.exceptions import DatabaseError, error_name_from_body

    try:
        yield
    except DatabaseError as exc:
        cause = exc.__cause__
        if exc.code is not None or cause is None:
            raise
        if isinstance(cause, UnicodeDecodeError):
            quoted = cause.object
        elif str(cause):
            raise
        else:
            quoted = _last_unreadable(client)  # Python 3.10 gives no text at all.
        text = quoted.decode(errors="replace")
        if (code := _CODE.search(text)) is None:
            raise
        name = error_name_from_body(text)
        raise DatabaseError(text, code=int(code[1]), name=name) from exc


def _last_unreadable(client: Client) -> bytes:
    """Return the last error of the embedded engine whose text is no UTF-8; empty if none is."""
    rows = client.query(
        "SELECT hex(concat('Code: ', toString(code), '. DB::Exception: ', last_error_message, "
        "' (', name, ')')) FROM system.errors WHERE NOT isValidUTF8(last_error_message) "
        "ORDER BY last_error_time DESC LIMIT 1"
    ).result_rows
    return bytes.fromhex(rows[0][0]) if rows else b""


def compress(data: bytes) -> bytes:
    """Compress with zstd level 1, to a tenth. Level 3 is slower and gains nothing on JSON rows."""
    compressed: bytes = zstd().compress(data, level=1)
    return compressed


def identifier(name: str) -> str:
    """Return *name* as a quoted identifier of ClickHouse."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _literal(value: object) -> str:
    """Return *value* as a ClickHouse literal."""
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
