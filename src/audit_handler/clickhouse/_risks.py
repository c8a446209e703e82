"""Warn of a table that loses rows which ClickHouse has acknowledged."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from audit_handler._reports import Reporter
from audit_handler.clickhouse._ask import ask
from audit_handler.clickhouse._errors import about_no_row, mapped_errors
from audit_handler.clickhouse._transport import transport_of
from audit_handler.errors import DeliveryError, SetupError
from audit_handler.schema import (
    column_ttls_of_past_events,
    engine_risk,
    sharding_risk,
    ttl_of_past_events,
)
from audit_handler.target import Target

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

__all__ = ["warn_of_risks"]

_logger = Reporter("audit_handler.clickhouse")

_TABLE = (
    "SELECT engine_full, create_table_query FROM system.tables "
    "WHERE database = {database:String} AND name = {table:String}"
)
# A Distributed table, and the local table behind it.
_FRONT = re.compile(r"Distributed\('[^']*', '([^']*)', '([^']*)'")


def warn_of_risks(client: Client, target: Target, secrets: Collection[str]) -> bool:
    """
    Warn if the engine of *target*'s table, or the retention or sharding key, loses rows.

    Return False if that is not known yet: the table is missing, or the question failed. True also
    if the user may not ask.
    """
    database, table = target.database, target.table
    front = None
    try:
        described = _described(client, database, table, secrets)
        if described is not None and (found := _FRONT.match(described[0])):
            front = sharding_risk(described[0])
            if front is not None and _may_look_up(client, f"`{database}`.`{table}`", secrets):
                front = None
            database, table = found[1] or database, found[2]
            described = _described(client, database, table, secrets)
    except DeliveryError as exc:
        # Any other error is transient: the next description asks again.
        return isinstance(exc, SetupError)
    if front is not None:
        _logger.warning(
            "table %s.%s %s; %s", target.database, target.table, front.what, front.remedy
        )
    if described is None:
        return front is not None
    engine, ddl = described
    risk = engine_risk(engine)
    if risk is not None:
        _logger.warning("table %s.%s %s; %s", database, table, risk.what, risk.remedy)
    ttl = ttl_of_past_events(engine, ddl)
    if ttl is not None:
        _logger.warning(
            "table %s.%s drops events of the past soon after they are stored, because its "
            "retention counts from the event alone (TTL %s). Count from ingestion with: "
            "audit-handler init",
            database,
            table,
            ttl,
        )
    for column, column_ttl in column_ttls_of_past_events(ddl).items():
        _logger.warning(
            "column %s of table %s.%s loses its values of events of the past soon after they are "
            "stored, because its TTL counts from the event alone (TTL %s). Count from ingestion: "
            "see audit-handler check",
            column,
            database,
            table,
            column_ttl,
        )
    return True


def _may_look_up(client: Client, table: str, secrets: Collection[str]) -> bool:
    columns = ["writer_id", "seq", "event_date"]
    try:
        with about_no_row(), mapped_errors(secrets, transport_of(client)):
            ask(client, f"SELECT {', '.join(columns)} FROM {table} WHERE 0", columns)  # noqa: S608  # checked identifiers
    except SetupError:
        return False
    return True


def _described(
    client: Client, database: str, table: str, secrets: Collection[str]
) -> tuple[str, str] | None:
    """
    Return the engine with its keys and TTL, and the CREATE statement; None if this user does not
    see the table.
    """
    columns = ["engine_full", "create_table_query"]
    with about_no_row(), mapped_errors(secrets, transport_of(client)):
        rows = ask(client, _TABLE, columns, {"database": database, "table": table})
    return (str(rows[0][0]), str(rows[0][1])) if rows else None
