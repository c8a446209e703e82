"""
Reading the trail: events by filter, newest first; one event whole; what was done when, and by whom;
what is missing.

Every value of a filter is a bound parameter. Rows come back as dicts of plain values: text, whole
numbers, and times as text in UTC.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Protocol

from audit_handler.schema import query
from audit_handler.target import Target
from audit_handler.trail._completeness import Completeness, completeness

__all__ = ["SUMMARY", "Completeness", "Event", "Filter", "Period", "Trail"]

Event = dict[str, Any]
"""One row, by column name."""

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
"""The columns that tell one event from another, without bodies."""

_TEXTS = (
    "message",
    "error_message",
    "request_body",
    "response_body",
    "old_value",
    "new_value",
    "metadata",
)
"""The columns that `Filter.text` is looked for in."""

_PERIOD = (
    "event_date BETWEEN toDate({since:DateTime64(6, 'UTC')}) "
    "AND toDate({until:DateTime64(6, 'UTC')}) "
    "AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}"
)


_BEFORE = "(event_time, event_id) < ({before_time:DateTime64(6, 'UTC')}, {before:UUID})"


class Client(Protocol):
    """What reading needs of `audit_handler.clickhouse.ClickHouse`."""

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A stretch of time, by *event_time*; both ends with a time zone."""

    since: datetime
    """The first moment of it."""
    until: datetime
    """The first moment after it."""

    def parameters(self) -> dict[str, str]:
        return {"since": _utc_text(self.since), "until": _utc_text(self.until)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events are wanted. What is empty does not matter; all that is given must hold."""

    period: Period
    user: str = ""
    """*agent_id*."""
    action: str = ""
    resource_type: str = ""
    resource_id: str = ""
    request_id: str = ""
    """*request_id* or *trace_id*."""
    session_id: str = ""
    service: str = ""
    outcome: str = ""
    ip: str = ""
    """*ip_address*, IPv4 or IPv6."""
    level: str = ""
    min_status: int = 0
    """The smallest *status_code*."""
    text: str = ""
    """Part of a body, a value, the message or the metadata, whatever the case of its letters."""

    def where(self) -> tuple[list[str], dict[str, Any]]:
        """Return conditions, and the parameters that stand in them."""
        equal = {
            "agent_id": self.user,
            "action": self.action,
            "resource_type": self.resource_type,
            "resource_id": self.resource_id,
            "session_id": self.session_id,
            "service_name": self.service,
            "outcome": self.outcome,
            "level": self.level,
        }
        parameters: dict[str, Any] = {name: value for name, value in equal.items() if value}
        conditions = [_PERIOD, *(f"{name} = {{{name}:String}}" for name in parameters)]
        if self.request_id:
            conditions.append("(request_id = {request:String} OR trace_id = {request:String})")
            parameters["request"] = self.request_id
        if self.ip:
            conditions.append("ip_address = toIPv6({ip:String})")
            parameters["ip"] = self.ip
        if self.min_status:
            conditions.append("status_code >= {min_status:UInt16}")
            parameters["min_status"] = self.min_status
        if self.text:
            found = (f"positionCaseInsensitiveUTF8({name}, {{text:String}}) > 0" for name in _TEXTS)
            conditions.append(f"({' OR '.join(found)})")
            parameters["text"] = self.text
        return conditions, {**parameters, **self.period.parameters()}


class Trail:
    """
    The rows of one table, to read. As safe to call from several threads as *client* is.

    Every method raises `TransientError` or `SetupError`.
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
            wanted: Which ones.
            limit: How many at most.
            before: *event_id* of the last event of the page before, for the next one.
            columns: Which columns; all by default, those that the user added too.

        Raises:
            LookupError: There is no event of the id *before*.
        """
        conditions, parameters = wanted.where()
        if before:
            # By time and id, not by a count: rows that arrive meanwhile would shift the pages.
            conditions.append(_BEFORE)
            parameters |= {"before": before, "before_time": self._time_of(before)}
        sql = (
            f"SELECT {_names(columns)} FROM {self._table} "
            f"WHERE {' AND '.join(conditions)} "
            "ORDER BY event_time DESC, event_id DESC LIMIT {limit:UInt32}"
        )
        return self._ask(sql, {**parameters, "limit": limit})

    def every(self, wanted: Filter, *, page: int = 1_000) -> Iterator[Event]:
        """Yield all events with all their columns, newest first, *page* of them held at once."""
        conditions, parameters = wanted.where()
        parameters["limit"] = page
        while True:
            # With ties, see `arrived`.
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
        """Return one event, or None when there is none of that id."""
        sql = (
            f"SELECT {_names(columns)} FROM {self._table} "
            "WHERE event_id = {event_id:UUID} LIMIT 1"
        )
        found = self._ask(sql, {"event_id": event_id})
        return found[0] if found else None

    def server_time(self) -> str:
        """Return the time of the server's clock, by which *ingested_at* is set."""
        return str(self._ask("SELECT now64(3, 'UTC') AS now", {})[0]["now"])

    def arrived(
        self, wanted: Filter, *, since: str, columns: Sequence[str] = (), page: int = 10_000
    ) -> Iterator[Event]:
        """
        Yield every event that ClickHouse stored at *since* (of its own clock) or later, in that
        order; those too that arrive meanwhile.

        An insert shows when it is done, under the time at which it began: ask again from some time
        earlier, and leave out what is known.

        Args:
            wanted: Which ones.
            since: Time of the server's clock.
            columns: Which ones; *ingested_at* and *event_id* must be among them.
            page: Events that are fetched at once.
        """
        conditions, parameters = wanted.where()
        parameters |= {"stored": since, "limit": page}
        place = "ingested_at >= {stored:DateTime64(3, 'UTC')}"
        while True:
            # With ties, because an event id may stand on several rows, and a page end between them.
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
        """Return the answer to one of ``sql/queries/``."""
        return self._ask(query(name, self._target), {**period.parameters(), **parameters})

    def activity_by_hour(self, period: Period) -> list[Event]:
        """Return *hour*, *events* and *failures* of each hour in which something happened."""
        sql = (
            "SELECT toStartOfHour(event_time) AS hour, count() AS events, "
            f"countIf(outcome = 'failure') AS failures FROM {self._table} "
            f"WHERE {_PERIOD} "
            "GROUP BY hour ORDER BY hour"
        )
        return self._ask(sql, period.parameters())

    def completeness(self, period: Period) -> list[Completeness]:
        """
        Return the numbers of each writer, those with the most missing and repeated ones first.

        A number that only lies outside *period* is not missing: rows of two threads may stand in
        another order by time than by number, and an extra may set any time. Periods that follow
        each other report each gap once: in the period of the row after it.
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


def _utc_text(moment: datetime) -> str:
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S.%f}"


def _plain(value: Any) -> Any:
    """Return a value of the driver as JSON has it, times as text in UTC."""
    if isinstance(value, datetime):
        # Without a zone it is in UTC already.
        return _utc_text(value.replace(tzinfo=value.tzinfo or timezone.utc))
    if isinstance(value, IPv6Address):
        return str(value.ipv4_mapped or value)
    if isinstance(value, uuid.UUID | date | IPv4Address):
        return str(value)
    return value
