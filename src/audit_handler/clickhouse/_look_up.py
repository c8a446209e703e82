"""`LookUp`: ask ClickHouse which rows are stored."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING

from audit_handler._reports import Reporter
from audit_handler.clickhouse._ask import ask
from audit_handler.clickhouse._codes import Code
from audit_handler.clickhouse._errors import about_no_row
from audit_handler.errors import SetupError
from audit_handler.target import Target

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

__all__ = ["LookUp"]

_logger = Reporter("audit_handler.clickhouse")

# Errors of a look-up by a user without SELECT, under a profile that forbids it, or on a table
# without the columns.
_REFUSED = frozenset({Code.UNKNOWN_IDENTIFIER, Code.READONLY, Code.ACCESS_DENIED})

# The start of each row of NDJSON, as this package writes it.
_DAY = re.compile(
    rb'^\{"writer_id":"[^"]*","seq":\d+,"event_time":"(\d{4}-\d\d-\d\d)', re.MULTILINE
)
_ONE_DAY = timedelta(days=1)
# A day that `_days_of` finds, in any zone.
_OUR_DAY = re.compile(r"toDate(?:32)?\(event_time(?:, '[^']*')?\)")
_ANY_DAYS = ("1970-01-01", "2149-06-06")
# So `EXPLAIN` calls the filter of a row policy.
_ROW_POLICY = "Row level filter"


class LookUp:
    """
    Looks rows of one table up, and says once why that is not possible. One thread at a time.

    Args:
        target: The table.
        errors: Returns a context that raises the errors of `audit_handler.errors`.
        is_said_by_clickhouse: Returns whether ClickHouse itself gave the last answer, of this code.
    """

    def __init__(
        self,
        target: Target,
        errors: Callable[[], AbstractContextManager[None]],
        is_said_by_clickhouse: Callable[[int], bool],
    ) -> None:
        self._database, self._name = target.database, target.table
        self._table = f"`{target.database}`.`{target.table}`"
        self._errors = errors
        self._is_said_by_clickhouse = is_said_by_clickhouse
        self.is_possible = True
        """False while ClickHouse rejects the look-up, or cannot find what is stored."""

    def stored(
        self, client: Client, writer_id: str, first_seq: int, last_seq: int, lines: bytes
    ) -> set[int] | None:
        """
        Return which of the rows *first_seq* to *last_seq* of *writer_id* are stored, or None if
        ClickHouse rejects the look-up or a row policy hides rows.

        Args:
            lines: The rows themselves; their days limit the query to a few partitions.

        Raises:
            TransientError, SetupError: See `audit_handler.errors`.
        """
        find = partial(_stored_seqs, client, self._table, writer_id, first_seq, last_seq)
        try:
            with about_no_row(), self._errors():
                found = find(_days_of(lines))
                is_part = len(found) <= last_seq - first_seq
                if is_part and _days_are_others(client, self._database, self._name):
                    found = find(_ANY_DAYS)
                is_nowhere = not found and _keeps_no_rows(client, self._database, self._name)
        except SetupError as exc:
            if exc.code not in _REFUSED or not self._is_said_by_clickhouse(exc.code):
                raise
            grant = "grant SELECT(writer_id, seq, event_date) to the user of the dsn"
            self._warn(exc, remedy=grant)
            return None
        if is_nowhere:
            self._warn(
                "the table has the engine Null, which keeps no rows",
                remedy="give it an engine that keeps rows, such as MergeTree",
            )
            return found
        if not found and self.hides_rows(client):
            return None
        self.is_possible = True
        return found

    def hides_rows(self, client: Client) -> bool:
        """
        Return whether a row policy hides rows of the table from this user.

        Raises:
            TransientError: See `audit_handler.errors`.
        """
        try:
            with about_no_row(), self._errors():
                is_hidden = _hides_rows(client, self._table)
        except SetupError:
            return False
        if is_hidden:
            self._warn("a row policy hides rows", remedy="let the user of the dsn see its own rows")
        return is_hidden

    def _warn(self, problem: object, *, remedy: str) -> None:
        # The next call asks again: the user may have the grant by then.
        was_possible, self.is_possible = self.is_possible, False
        if was_possible:
            _logger.warning(
                "rows cannot be looked up before they are sent again (%s). Until this is fixed, "
                "only the deduplication token prevents duplicates, and a table may forget it; %s",
                problem,
                remedy,
            )


def _days_of(lines: bytes) -> tuple[str, str]:
    """
    Return the first and the last day on which the rows *lines* may be: a table of the user may
    count days in another zone than UTC.
    """
    days = [day.decode() for day in _DAY.findall(lines)]
    if not days:
        return _ANY_DAYS
    first, last = date.fromisoformat(min(days)), date.fromisoformat(max(days))
    return str(first - _ONE_DAY), str(last + _ONE_DAY)


def _stored_seqs(
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


def _hides_rows(client: Client, table: str) -> bool:
    """
    Return whether a row policy of *table* applies to this user. What it hides would be taken for
    missing, and sent again.
    """
    plan = ask(client, f"EXPLAIN actions = 1 SELECT seq FROM {table}", ["explain"])  # noqa: S608
    return any(_ROW_POLICY in str(row[0]) for row in plan)


def _days_are_others(client: Client, database: str, table: str) -> bool:
    """Return whether *event_date* of the table may be another day than that of the event."""
    default = (
        "SELECT default_expression FROM system.columns "
        "WHERE database = {database:String} AND table = {table:String} AND name = 'event_date'"
    )
    names = {"database": database, "table": table}
    rows = ask(client, default, ["default_expression"], names)
    return any(not _OUR_DAY.fullmatch(row[0]) for row in rows)


def _keeps_no_rows(client: Client, database: str, table: str) -> bool:
    """Return whether the table passes rows on to views, and keeps none that can be looked up."""
    engine = (
        "SELECT engine FROM system.tables "
        "WHERE database = {database:String} AND name = {table:String}"
    )
    rows = ask(client, engine, ["engine"], {"database": database, "table": table})
    return any(row[0] == "Null" for row in rows)
