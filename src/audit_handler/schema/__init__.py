"""
The table: its columns, the SQL that creates and queries it, and the upgrade of an existing one.

The SQL is in ``sql/``: plain files of one statement each, which ``clickhouse-client`` runs
unchanged. This folder fills in other names than ``audit_db`` and ``audit_logs``.
"""

from audit_handler.schema._changes import Change, Client, Table, changes, existing_table
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
from audit_handler.schema._upgrade import Month, Upgrade, upgrade, upgrade_statements

__all__ = [
    "COLUMNS",
    "DEFAULT_RETENTION",
    "OLDER_COLUMNS",
    "WRITTEN_COLUMNS",
    "Change",
    "Client",
    "Kind",
    "Month",
    "Table",
    "Upgrade",
    "access_statements",
    "changes",
    "existing_table",
    "is_older",
    "parameters",
    "query",
    "query_names",
    "retention_statements",
    "script",
    "scripts",
    "statements",
    "upgrade",
    "upgrade_statements",
]
