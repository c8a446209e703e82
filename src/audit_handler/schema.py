"""
The table: its columns, one list that record, SQL and tests agree with, and the SQL files that make
it.

The DDL itself is in ``sql/``, plain files that ``clickhouse-client`` runs as they are; this room
only fills in other names than ``audit_db`` and ``audit_logs``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import MappingProxyType

from audit_handler.target import Target

__all__ = ["COLUMNS", "WRITTEN_COLUMNS", "Kind", "statements"]


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


def statements(target: Target) -> list[str]:
    """
    Return the DDL that creates *target*'s database and table, one statement each, in the order to
    run them.

    With *cluster* set these are the replicated local table and the Distributed table in front of
    it.
    """
    directory = _sql_directory() / ("cluster" if target.cluster else "node")
    scripts = sorted(
        (entry for entry in directory.iterdir() if entry.name.endswith(".sql")),
        key=lambda e: e.name,
    )
    return [_with_names(script.read_text(encoding="utf-8"), target) for script in scripts]


def _sql_directory() -> Path:
    """Return ``sql/`` of the installed package, or of the checkout of an editable install."""
    package = Path(__file__).parent
    return package / "sql" if (package / "sql").is_dir() else package.parents[1] / "sql"


def _with_names(sql: str, target: Target) -> str:
    """
    Put the target's names into *sql*.

    Text replacement, because ON CLUSTER, AS and GRANT refuse query parameters; the names are
    checked identifiers.
    """
    names = {
        "audit_db": target.database,
        "audit_logs": target.table,
        "audit_logs_local": f"{target.table}_local",
    }
    if target.cluster:
        names["{cluster}"] = target.cluster
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names))
    return pattern.sub(lambda found: names[found[0]], sql).strip().rstrip(";")
