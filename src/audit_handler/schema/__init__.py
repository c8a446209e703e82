"""
The table: its columns, and the SQL that creates and queries it.

The SQL is in ``sql/``: plain files of one statement each, which ``clickhouse-client`` runs
unchanged. This folder fills in other names than ``audit_db`` and ``audit_logs``.

`audit_handler.schema.upgrade` upgrades a table of the layout of 2025. It is imported by itself,
because no application needs it.
"""

from audit_handler.schema._changes import (
    Change,
    Client,
    Table,
    changes,
    existing_table,
)
from audit_handler.schema._columns import COLUMNS, OLDER_COLUMNS, WRITTEN_COLUMNS, Kind, is_older
from audit_handler.schema._files import (
    DEFAULT_RETENTION,
    access_statements,
    parameters,
    query,
    query_names,
    retention_statements,
    script,
    scripts,
    statements,
)
from audit_handler.schema._retention import column_ttls_of_past_events, ttl_of_past_events
from audit_handler.schema._risks import Risk, engine_risk, sharding_risk
from audit_handler.schema._split import split_at_commas

__all__ = [
    "COLUMNS",
    "DEFAULT_RETENTION",
    "OLDER_COLUMNS",
    "WRITTEN_COLUMNS",
    "Change",
    "Client",
    "Kind",
    "Risk",
    "Table",
    "access_statements",
    "changes",
    "column_ttls_of_past_events",
    "engine_risk",
    "existing_table",
    "is_older",
    "parameters",
    "query",
    "query_names",
    "retention_statements",
    "script",
    "scripts",
    "sharding_risk",
    "split_at_commas",
    "statements",
    "ttl_of_past_events",
]
