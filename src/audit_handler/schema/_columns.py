"""The columns of the table: one list for record, SQL, documentation and tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from types import MappingProxyType

__all__ = ["COLUMNS", "OLDER_COLUMNS", "WRITTEN_COLUMNS", "Kind", "is_older"]


class Kind(Enum):
    """The conversion of a value for its column, or the side that fills the column."""

    TEXT = "text"
    """Text as it is; other values as JSON or ``str()``."""
    CONTENT = "content"
    """Bodies, headers, values: objects become JSON text, and text is searched for secrets."""
    UINT16 = "a whole number from 0 to 65535"
    UINT32 = "a whole number from 0 to 4294967295"
    IP = "an IPv4 or IPv6 address"
    OUTCOME = "success, failure or unknown"
    TIME = "a time from 1971 to a day ahead"
    UUID = "a UUID"
    RECORD = "record"
    """The handler fills it from the record; an extra of this name goes to *metadata*."""
    SERVER = "server"
    """ClickHouse fills it; it is never sent."""


# Every column of ``audit_logs``, in the table's order.
COLUMNS: Mapping[str, Kind] = MappingProxyType(
    {
        "event_id": Kind.UUID,
        "event_time": Kind.TIME,
        "event_date": Kind.SERVER,
        "agent_id": Kind.TEXT,
        "agent_name": Kind.TEXT,
        "agent_role": Kind.TEXT,
        "agent_email": Kind.TEXT,
        "action": Kind.TEXT,
        "resource_type": Kind.TEXT,
        "resource_id": Kind.TEXT,
        "resource_name": Kind.TEXT,
        "ip_address": Kind.IP,
        "endpoint": Kind.CONTENT,
        "http_method": Kind.TEXT,
        "status_code": Kind.UINT16,
        "response_time_ms": Kind.UINT32,
        "request_body": Kind.CONTENT,
        "response_body": Kind.CONTENT,
        "request_headers": Kind.CONTENT,
        "response_headers": Kind.CONTENT,
        "old_value": Kind.CONTENT,
        "new_value": Kind.CONTENT,
        "user_agent": Kind.TEXT,
        "session_id": Kind.TEXT,
        "request_id": Kind.TEXT,
        "error_message": Kind.CONTENT,
        "metadata": Kind.CONTENT,
        "trace_id": Kind.TEXT,
        "span_id": Kind.TEXT,
        "service_name": Kind.TEXT,
        "writer_id": Kind.RECORD,
        "seq": Kind.RECORD,
        "level": Kind.RECORD,
        "logger": Kind.RECORD,
        "message": Kind.RECORD,
        "outcome": Kind.OUTCOME,
        "ingested_at": Kind.SERVER,
    }
)

# The columns that an insert names. ClickHouse fills *event_date* and *ingested_at* itself.
WRITTEN_COLUMNS: tuple[str, ...] = tuple(
    name for name, kind in COLUMNS.items() if kind is not Kind.SERVER
)

_SINCE_2026 = frozenset(
    {
        "event_id",
        "trace_id",
        "span_id",
        "service_name",
        "writer_id",
        "seq",
        "level",
        "logger",
        "message",
        "outcome",
        "ingested_at",
    }
)

# The columns that an insert names while the table has the layout of 2025. Without *writer_id* and
# *seq*, stored rows cannot be looked up there.
OLDER_COLUMNS: tuple[str, ...] = tuple(name for name in WRITTEN_COLUMNS if name not in _SINCE_2026)


def is_older(columns: Iterable[str]) -> bool:
    """Return whether *columns* are the layout of 2025: all of it, and no newer column."""
    present = frozenset(columns)
    return present.issuperset(OLDER_COLUMNS) and present.isdisjoint(_SINCE_2026)
