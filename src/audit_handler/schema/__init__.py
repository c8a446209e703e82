"""
The table: its columns, the SQL files that make it and ask it, and what a table that exists lacks.

The SQL is in ``sql/``, plain files of one statement each that ``clickhouse-client`` runs as they
are; this room only fills in other names than ``audit_db`` and ``audit_logs``.
"""

from audit_handler.schema._changes import Change, Client, changes
from audit_handler.schema._columns import COLUMNS, OLDER_COLUMNS, WRITTEN_COLUMNS, Kind
from audit_handler.schema._files import (
    DEFAULT_RETENTION,
    access_statements,
    query,
    query_names,
    retention_statements,
    script,
    scripts,
    statements,
)

__all__ = [
    "COLUMNS",
    "DEFAULT_RETENTION",
    "OLDER_COLUMNS",
    "WRITTEN_COLUMNS",
    "Change",
    "Client",
    "Kind",
    "access_statements",
    "changes",
    "query",
    "query_names",
    "retention_statements",
    "script",
    "scripts",
    "statements",
]
