"""Ask ClickHouse, and believe only a whole answer to this very question."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

__all__ = ["ask", "changeable"]

# A user's profile may cut answers short without a word. What is cut from a look-up would be sent
# again.
_WHOLE_ANSWER = {
    "limit": 0,
    "offset": 0,
    "max_result_rows": 0,
    "max_result_bytes": 0,
    "read_overflow_mode": "throw",
    "read_overflow_mode_leaf": "throw",
    "result_overflow_mode": "throw",
    "timeout_overflow_mode": "throw",
    "timeout_overflow_mode_leaf": "throw",
    "skip_unavailable_shards": 0,
    # Nor may they refuse it: a look-up without days reads many rows.
    "force_primary_key": 0,
    "force_index_by_date": 0,
    "max_rows_to_read": 0,
    "max_rows_to_read_leaf": 0,
    "max_bytes_to_read": 0,
    "max_bytes_to_read_leaf": 0,
    "max_partitions_to_read": -1,
    "additional_table_filters": "{}",
    "additional_result_filter": "",
    # DESCRIBE returns each column once, with its default.
    "describe_compact_output": 0,
    "describe_include_subcolumns": 0,
    "describe_include_virtual_columns": 0,
}


def changeable(client: Client, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of *settings* that the server knows and that the user may change."""
    known = client.server_settings
    return {name: value for name, value in settings.items() if _may_change(known.get(name))}


def _may_change(setting: Any) -> bool:
    return setting is not None and not setting.readonly


def ask(
    client: Client,
    sql: str,
    columns: Sequence[str],
    parameters: Mapping[str, Any] | None = None,
) -> list[list[Any]]:
    """
    Return the rows of the query *sql*. 64-bit integers may be text.

    The answer proves itself, because a proxy may remove ClickHouse's headers: an empty, cut or
    foreign one is not JSON with these columns and with as many rows as it counts. The driver's own
    format has no end, and no rows are an empty body.

    Args:
        columns: Names of the first columns of the result. A name that no other question has keeps
            the answer to another one from being taken for this one.

    Raises:
        ValueError: The answer is none of ClickHouse's to this question.
    """
    settings = changeable(client, _WHOLE_ANSWER)
    body = client.raw_query(sql, dict(parameters or {}), settings=settings, fmt="JSONCompact")
    try:
        found = json.loads(body)
        names = [column["name"] for column in found["meta"]]
        rows: list[list[Any]] = found["data"]
        is_whole = found["rows"] == len(rows)
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        raise ValueError("the answer is not ClickHouse's JSON") from exc
    if not is_whole or names[: len(columns)] != list(columns):
        raise ValueError("the answer is cut, or belongs to another question")
    return rows
