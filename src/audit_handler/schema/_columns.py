"""The columns of the table: one list that record, SQL, documentation and tests agree with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from types import MappingProxyType

__all__ = ["COLUMNS", "OLDER_COLUMNS", "WRITTEN_COLUMNS", "Kind", "is_older"]


class Kind(Enum):
    """How a value gets into its column."""

    TEXT = "text"
    """Text as it is; anything else as its JSON or ``str()``."""
    CONTENT = "content"
    """Bodies, headers, values: objects become JSON text, and text is searched for secrets too."""
    UINT16 = "a whole number from 0 to 65535"
    UINT32 = "a whole number from 0 to 4294967295"
    IP = "an IPv4 or IPv6 address"
    OUTCOME = "success, failure or unknown"
    TIME = "a time from 2020 to a day ahead"
    UUID = "a UUID"
    RECORD = "record"
    """Filled by the handler from the record itself; an extra of this name goes to *metadata*."""
    SERVER = "server"
    """Filled by ClickHouse; never sent."""


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
"""Every column of ``audit_logs``, in the table's order."""

WRITTEN_COLUMNS: tuple[str, ...] = tuple(
    name for name, kind in COLUMNS.items() if kind is not Kind.SERVER
)
"""The columns that an insert names. *event_date* and *ingested_at* are ClickHouse's own."""

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

OLDER_COLUMNS: tuple[str, ...] = tuple(name for name in WRITTEN_COLUMNS if name not in _SINCE_2026)
"""
The columns that an insert names where the table still has the layout of 2025. It has no
*writer_id* and no *seq*, so nobody can tell there which rows are stored.
"""


def is_older(columns: Iterable[str]) -> bool:
    """Return whether *columns* are the layout of 2025: all of it, and nothing since."""
    present = frozenset(columns)
    return present.issuperset(OLDER_COLUMNS) and present.isdisjoint(_SINCE_2026)
