"""Ask ClickHouse which rows are stored."""

from __future__ import annotations

import re
import uuid
from datetime import date, timedelta
from typing import TYPE_CHECKING

from audit_handler.clickhouse._ask import ask

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

__all__ = ["ANY_DAYS", "days_are_others", "days_of", "hides_rows", "keeps_no_rows", "stored_seqs"]

# The start of each row of NDJSON, as this package writes it.
_DAY = re.compile(
    rb'^\{"writer_id":"[^"]*","seq":\d+,"event_time":"(\d{4}-\d\d-\d\d)', re.MULTILINE
)
_ONE_DAY = timedelta(days=1)
# A day that `days_of` finds, in any zone.
_OUR_DAY = re.compile(r"toDate(?:32)?\(event_time(?:, '[^']*')?\)")
ANY_DAYS = ("1970-01-01", "2149-06-06")
# So `EXPLAIN` calls the filter of a row policy.
_ROW_POLICY = "Row level filter"


def days_of(lines: bytes) -> tuple[str, str]:
    """
    Return the first and the last day on which the rows *lines* may be: a table of the user may
    count days in another zone than UTC.
    """
    days = [day.decode() for day in _DAY.findall(lines)]
    if not days:
        return ANY_DAYS
    first, last = date.fromisoformat(min(days)), date.fromisoformat(max(days))
    return str(first - _ONE_DAY), str(last + _ONE_DAY)


def stored_seqs(
    client: Client,
    table: str,
    writer_id: str,
    first_seq: int,
    last_seq: int,
    days: tuple[str, str],
) -> set[int]:
    """
    Return which of the rows *first_seq* to *last_seq* of *writer_id* are in *table*.

    Args:
        days: Their first and last day, which limit the query to a few partitions.

    Raises:
        ValueError: The answer is none of ClickHouse's.
    """
    column = f"seq_{uuid.uuid4().hex}"
    query = (
        f"SELECT seq AS {column} FROM {table} "  # noqa: S608  # checked identifiers; the values are bound
        "WHERE writer_id = {writer_id:String} "
        "AND seq BETWEEN {first_seq:UInt64} AND {last_seq:UInt64} "
        "AND event_date BETWEEN {first_day:Date} AND {last_day:Date}"
    )
    parameters = {
        "writer_id": writer_id,
        "first_seq": first_seq,
        "last_seq": last_seq,
        "first_day": days[0],
        "last_day": days[1],
    }
    return {int(row[0]) for row in ask(client, query, [column], parameters)}


def hides_rows(client: Client, table: str) -> bool:
    """
    Return whether a row policy of *table* applies to this user. What it hides would be taken for
    missing, and sent again.
    """
    plan = ask(client, f"EXPLAIN actions = 1 SELECT seq FROM {table}", ["explain"])  # noqa: S608
    return any(_ROW_POLICY in str(row[0]) for row in plan)


def days_are_others(client: Client, database: str, table: str) -> bool:
    """Return whether *event_date* of the table may be another day than that of the event."""
    default = (
        "SELECT default_expression FROM system.columns "
        "WHERE database = {database:String} AND table = {table:String} AND name = 'event_date'"
    )
    names = {"database": database, "table": table}
    rows = ask(client, default, ["default_expression"], names)
    return any(not _OUR_DAY.fullmatch(row[0]) for row in rows)


def keeps_no_rows(client: Client, database: str, table: str) -> bool:
    """Return whether the table passes rows on to views, and keeps none that can be looked up."""
    engine = (
        "SELECT engine FROM system.tables "
        "WHERE database = {database:String} AND name = {table:String}"
    )
    rows = ask(client, engine, ["engine"], {"database": database, "table": table})
    return any(row[0] == "Null" for row in rows)
