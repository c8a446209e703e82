"""
Read the trail: search events, show one, answer the questions of reports.

Every value of a filter is a bound parameter. Rows come back as dicts of plain values: text, whole
numbers, and times as text in UTC.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timezone
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Protocol

from audit_handler.schema import query
from audit_handler.target import Target
from audit_handler.trail._completeness import Completeness, completeness
from audit_handler.trail._filter import IN_PERIOD, Filter, Period, utc_text

__all__ = ["SUMMARY", "Event", "Trail"]

# One row, by column name.
Event = dict[str, Any]

# The columns that distinguish events, without bodies.
SUMMARY = (
    "event_time",
    "agent_id",
    "agent_name",
    "action",
    "outcome",
    "resource_type",
    "resource_id",
    "resource_name",
    "status_code",
    "ip_address",
    "request_id",
    "message",
    "event_id",
)


# Events after the last one of a page, in the order of `Trail.search`.
_BEFORE = "(event_time, event_id) < ({before_time:DateTime64(6, 'UTC')}, {before:UUID})"


class Client(Protocol):
    """The call of `audit_handler.clickhouse.ClickHouse` that reading makes."""

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]: ...


class Trail:
    """
    Reads the rows of one table. As safe to call from several threads as *client* is.

    Every method raises `TransientError` or `SetupError` when ClickHouse does not answer, or rejects
    this user.
    """

    def __init__(self, client: Client, target: Target) -> None:
        self._client = client
        self._target = target
        self._table = f"`{target.database}`.`{target.table}`"

    def search(
        self,
        wanted: Filter,
        *,
        limit: int,
        before: str = "",
        columns: Sequence[str] = (),
    ) -> list[Event]:
        """
        Return events, newest first.

        Args:
            wanted: Conditions on the events.
            limit: Maximum number of events.
            before: *event_id* of the last event of one page, to get the next page.
            columns: Columns to return; by default all, with those that the user added.

        Raises:
            LookupError: No event has the id *before*.
        """
        conditions, parameters = wanted.where()
        if before:
            # By time and id, not by OFFSET: rows that arrive meanwhile would shift the pages.
            conditions.append(_BEFORE)
            parameters |= {"before": before, "before_time": self._time_of(before)}
        sql = (
            f"SELECT {_names(columns)} FROM {self._table} "
            f"WHERE {' AND '.join(conditions)} "
            "ORDER BY event_time DESC, event_id DESC LIMIT {limit:UInt32}"
        )
        return self._ask(sql, {**parameters, "limit": limit})

    def every(self, wanted: Filter, *, page: int = 1_000) -> Iterator[Event]:
        """Yield all events with all columns, newest first. Holds *page* of them in memory."""
        conditions, parameters = wanted.where()
        parameters["limit"] = page
        while True:
            # WITH TIES: see `arrived`.
            events = self._ask(
                f"SELECT * FROM {self._table} WHERE {' AND '.join(conditions)} "
                "ORDER BY event_time DESC, event_id DESC LIMIT {limit:UInt32} WITH TIES",
                parameters,
            )
            yield from events
            if len(events) < page:
                return
            if "before" not in parameters:
                conditions.append(_BEFORE)
            parameters["before"] = events[-1]["event_id"]
            parameters["before_time"] = events[-1]["event_time"]

    def event(self, event_id: str, columns: Sequence[str] = ()) -> Event | None:
        """Return one event, or None if no event has that id."""
        sql = (
            f"SELECT {_names(columns)} FROM {self._table} "
            "WHERE event_id = {event_id:UUID} LIMIT 1"
        )
        found = self._ask(sql, {"event_id": event_id})
        return found[0] if found else None

    def server_time(self) -> str:
        """Return the time of the server's clock, which sets *ingested_at*."""
        return str(self._ask("SELECT now64(3, 'UTC') AS now", {})[0]["now"])

    def arrived(
        self, wanted: Filter, *, since: str, columns: Sequence[str] = (), page: int = 10_000
    ) -> Iterator[Event]:
        """
        Yield every event that ClickHouse stored at *since* or later, in the order of
        *ingested_at*, with those that arrive meanwhile.

        An insert becomes visible when it ends, with the time at which it began. To follow the
        trail, ask again from a somewhat earlier time, and leave out the events that are known.

        Args:
            wanted: Conditions on the events.
            since: Time of the server's clock; see `server_time`.
            columns: Columns to return; *ingested_at* and *event_id* must be among them.
            page: Number of events to fetch at once.
        """
        conditions, parameters = wanted.where()
        parameters |= {"stored": since, "limit": page}
        place = "ingested_at >= {stored:DateTime64(3, 'UTC')}"
        while True:
            # WITH TIES, because several rows may have one event id, and a page may end between
            # them.
            events = self._ask(
                f"SELECT {_names(columns)} FROM {self._table} "
                f"WHERE {' AND '.join([*conditions, place])} "
                "ORDER BY ingested_at, event_id LIMIT {limit:UInt32} WITH TIES",
                parameters,
            )
            yield from events
            if len(events) < page:
                return
            place = "(ingested_at, event_id) > ({stored:DateTime64(3, 'UTC')}, {last:UUID})"
            parameters |= {"stored": events[-1]["ingested_at"], "last": events[-1]["event_id"]}

    def question(self, name: str, period: Period, **parameters: Any) -> list[Event]:
        """Return the rows of the query *name* in ``sql/queries/``."""
        return self._ask(query(name, self._target), {**period.parameters(), **parameters})

    def activity_by_hour(self, period: Period) -> list[Event]:
        """Return *hour*, *events* and *failures* of each hour that has events."""
        sql = (
            "SELECT toStartOfHour(event_time) AS hour, count() AS events, "
            f"countIf(outcome = 'failure') AS failures FROM {self._table} "
            f"WHERE {IN_PERIOD} "
            "GROUP BY hour ORDER BY hour"
        )
        return self._ask(sql, period.parameters())

    def completeness(self, period: Period) -> list[Completeness]:
        """
        Return the numbers of each writer, those with the most missing and repeated ones first.

        A number is not missing if its row lies outside *period*: rows of two threads may have
        another order by time than by number, and an extra may set any time. Of consecutive periods,
        only the one with the row after a gap reports the gap.
        """
        days = (period.since.astimezone(timezone.utc), period.until.astimezone(timezone.utc))
        writers = self.question("completeness", period)
        return completeness(self._ask, self._table, writers, days)

    def _time_of(self, event_id: str) -> str:
        event = self.event(event_id, columns=("event_time",))
        if event is None:
            raise LookupError(event_id)
        return str(event["event_time"])

    def _ask(self, sql: str, parameters: Mapping[str, Any]) -> list[Event]:
        rows = self._client.query(sql, parameters)
        return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in columns) or "*"


def _plain(value: Any) -> Any:
    """Return a value of the driver as plain JSON, times as text in UTC."""
    if isinstance(value, datetime):
        # A time without a zone is in UTC.
        return utc_text(value.replace(tzinfo=value.tzinfo or timezone.utc))
    if isinstance(value, IPv6Address):
        return str(value.ipv4_mapped or value)
    if isinstance(value, uuid.UUID | date | IPv4Address):
        return str(value)
    return value
