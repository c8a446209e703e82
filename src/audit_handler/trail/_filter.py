"""The wanted events: a period and a filter, as SQL conditions and bound parameters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

__all__ = ["IN_PERIOD", "Filter", "Period", "utc_text"]

# `Filter.text` is searched for in these columns.
_TEXTS = (
    "message",
    "error_message",
    "request_body",
    "response_body",
    "old_value",
    "new_value",
    "metadata",
)


# By day too, because the table is partitioned by month of event_date.
IN_PERIOD = (
    "event_date BETWEEN toDate({since:DateTime64(6, 'UTC')}) "
    "AND toDate({until:DateTime64(6, 'UTC')}) "
    "AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A span of *event_time*; both ends have a time zone."""

    since: datetime
    """The first moment in it."""
    until: datetime
    """The first moment after it."""

    def parameters(self) -> dict[str, str]:
        """Return the parameters of `IN_PERIOD` and of ``sql/queries/``."""
        return {"since": utc_text(self.since), "until": utc_text(self.until)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Conditions on events. All fields that are set must match; empty ones match every event."""

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
    """Part of a body, a value, the message or the metadata; case is ignored."""

    def where(self) -> tuple[list[str], dict[str, Any]]:
        """Return SQL conditions, and the parameters that they use."""
        equal = {
            "agent_id": self.user,
            "action": self.action,
            "resource_type": self.resource_type,
            "resource_id": self.resource_id,
            "session_id": self.session_id,
            "service_name": self.service,
            "outcome": self.outcome,
        }
        parameters: dict[str, Any] = {name: value for name, value in equal.items() if value}
        conditions = [IN_PERIOD, *(f"{name} = {{{name}:String}}" for name in parameters)]
        if self.level:
            conditions.append("upperUTF8(level) = upperUTF8({level:String})")
            parameters["level"] = self.level
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


def utc_text(moment: datetime) -> str:
    """Return *moment* as ClickHouse reads it: in UTC, with microseconds."""
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S.%f}"
