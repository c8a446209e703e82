"""Ask ClickHouse, and believe only a whole answer to this very question."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

__all__ = ["ask"]


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
    body = client.raw_query(sql, dict(parameters or {}), fmt="JSONCompact")
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
