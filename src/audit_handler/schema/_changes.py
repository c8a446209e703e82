"""Compare an existing table with ``sql/``, and return the statements that add the missing parts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from audit_handler.errors import SetupError
from audit_handler.schema._columns import is_older
from audit_handler.schema._files import statements
from audit_handler.schema._retention import column_ttls_of_past_events, ttl_of_past_events
from audit_handler.schema._risks import engine_risk, sharding_risk
from audit_handler.target import Target

__all__ = ["Change", "Client", "Table", "changes", "existing_table"]


class Client(Protocol):
    """A connection to ClickHouse; `audit_handler.clickhouse.ClickHouse` is one."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a SELECT, by column name."""
        ...

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that returns no rows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between a table and ``sql/``."""

    what: str
    """The difference in words: ``"column trace_id is missing"``."""
    sql: str | None
    """The statement that adds the missing part, or None if no statement can."""
    remedy: str = ""
    """What to do if *sql* is None."""
    done: str = "added"
    """The word for what *sql* did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table that exists."""

    engine: str
    columns: Mapping[str, str]
    """Types by name, in the table's order."""
    sorting_key: str
    partition_key: str
    ddl: str
    """Its CREATE statement, on one line."""
    engine_full: str
    """The engine with its keys, TTL and settings."""

    @property
    def holds_rows(self) -> bool:
        """Whether the table itself stores rows; false for a Distributed table or a view."""
        return self.engine.endswith("MergeTree")

    @property
    def keeps_each_row(self) -> bool:
        """
        Whether merges keep each row, unlike those of a ReplacingMergeTree, to which ClickHouse adds
        no projection (344).
        """
        return self.engine in ("MergeTree", "ReplicatedMergeTree", "SharedMergeTree")

    @property
    def is_older(self) -> bool:
        """Whether the table has the layout of 2025."""
        return is_older(self.columns)


def changes(client: Client, target: Target) -> list[Change]:
    """
    Return the differences between *target*'s database and tables and ``sql/``, with the statements
    that add the missing parts, in the order to run them. Runs none of them.

    The operator's own columns, indexes, length of retention and settings stay as they are. A
    retention or constraint of an earlier release that drops or rejects past events is replaced. No
    statement rewrites data: a new index covers new rows only, until it is materialized. A column of
    another type is reported without a statement, because a change of type may truncate stored
    values.

    Raises:
        SetupError: A table of that name is not an audit table.
        DeliveryError: ClickHouse did not answer; see `TransientError` and `SetupError`.
    """
    return [change for sql in statements(target) for change in _changes_of(client, sql, target)]


def existing_table(client: Client, database: str, table: str) -> Table | None:
    """
    Return the table of that name, or None.

    Raises:
        DeliveryError: As for `changes`.
    """
    names = {"database": database, "table": table}
    found = client.query(
        "SELECT engine, sorting_key, partition_key, create_table_query AS ddl, "
        "engine_full FROM system.tables "
        "WHERE database = {database:String} AND name = {table:String}",
        names,
    )
    if not found:
        return None
    columns = client.query(
        "SELECT name, type FROM system.columns "
        "WHERE database = {database:String} AND table = {table:String} ORDER BY position",
        names,
    )
    return Table(columns={row["name"]: row["type"] for row in columns}, **found[0])


# Every layout has these; a table without one of them serves another purpose.
_AUDIT_COLUMNS = frozenset({"event_time", "event_date", "agent_id", "action"})
_NOT_DISTRIBUTED = (
    "rename it, and run: audit-handler init --cluster; or use another name with --table"
)
_HOLDS_NO_ROWS = "name the table under it with --table, or its cluster with --cluster"
_OTHER_KEY = (
    "the keys of a table cannot be changed. It can be used, but queries read more than they need; "
    "or create another with: audit-handler init --table NAME, and copy the rows with "
    "INSERT INTO ... SELECT"
)
_OTHER_TYPE = (
    "a change may truncate stored values, so it is left to you: look at the rows, then run ALTER "
    "TABLE ... MODIFY COLUMN; or use another table with --table"
)
_OTHER_TTL = (
    "count from the later of event and ingestion: ALTER TABLE ... MODIFY TTL with "
    "greatest(event_date, toDate(ingested_at)) in place of the event's date, also in the default "
    "of a column that the TTL names"
)
_OTHER_COLUMN_TTL = _OTHER_TTL.replace("MODIFY TTL with", "MODIFY COLUMN ... TTL with")
_OTHER_FRONT = (
    "a Distributed table cannot change a constraint; run sql/upgrade/cluster/2_flush_front.sql and "
    "3_drop_front.sql, then: audit-handler init (rows wait in the spool meanwhile)"
)
_UPGRADE = "upgrade it with: audit-handler init"

_CREATED = re.compile(r"CREATE (DATABASE|TABLE) IF NOT EXISTS (\w+)(?:\.(\w+))?")
_COLUMN = re.compile(r"^    ([a-z_]+) ((.+?)(?: DEFAULT .+?)? COMMENT '.*),$", re.MULTILINE)
_PART = re.compile(r"^    (INDEX|CONSTRAINT) (\w+) +(.+?),$", re.MULTILINE)
_PROJECTION = re.compile(r"^    (PROJECTION) (\w+)\s+(\(.+\))\n\)$", re.MULTILINE | re.DOTALL)
_KEYS = re.compile(r"^PARTITION BY (.+)\nORDER BY \((.+)\)$", re.MULTILINE)
_SETTING = re.compile(r"(\w+) = (\d+)")

# What the release 0.1.0 created, as ClickHouse prints it.
_EARLIER_CONSTRAINT = (
    "CONSTRAINT time_is_sane CHECK event_time >= toDateTime64('2020-01-01 00:00:00', 6, 'UTC')"
)
_CONSTRAINT = "CHECK event_time >= toDateTime64('1971-01-01 00:00:00', 6, 'UTC')"
# Inserts never name event_date, so with another default this check could only reject rows.
_OUR_DATE = re.compile(
    r"`event_date` \w+ (?:DEFAULT|MATERIALIZED) toDate\(event_time\)(?=[,)]| [A-Z])"
)
_DATE_CHECK = "date_matches_time"
_OUR_DATE_CHECK = re.compile(
    rf"CONSTRAINT {_DATE_CHECK} CHECK event_date = toDate\(event_time\)(?=[,)])"
)
_EARLIER_TTL = re.compile(r"event_date \+ toInterval\w+\(\d+\)")


def _changes_of(client: Client, create: str, target: Target) -> Iterator[Change]:
    """Yield the differences of the database or table that the statement *create* creates."""
    ((kind, database, name),) = _CREATED.findall(create)
    if kind == "DATABASE":
        known = client.query(
            "SELECT name FROM system.databases WHERE name = {database:String}",
            {"database": database},
        )
        if not known:
            yield Change(what=f"database {database} is missing", sql=create)
        return
    table = existing_table(client, database, name)
    on_cluster = f" ON CLUSTER '{target.cluster}'" if target.cluster else ""
    alter = f"ALTER TABLE {database}.{name}{on_cluster}"
    if table is None:
        yield Change(what=f"table {database}.{name} is missing", sql=create)
        return
    if foreign := _AUDIT_COLUMNS - table.columns.keys():
        raise SetupError(
            f"{database}.{name} is not an audit table: "
            f"it has no {' and no '.join(sorted(foreign))}",
            remedy="name another table with --table; this one is left as it is",
        )
    risk = sharding_risk(table.engine_full)
    if risk is not None:
        yield Change(what=f"{database}.{name} {risk.what}", sql=None, remedy=risk.remedy)
    if "MergeTree" in create:
        yield from _changes_of_rows(table, create, f"{database}.{name}", alter)
    elif table.engine != "Distributed":
        yield Change(
            what=f"{database}.{name} is a {table.engine} table, where a cluster needs a "
            "Distributed one in front of its local tables",
            sql=None,
            remedy=_NOT_DISTRIBUTED,
        )
    elif not table.is_older:
        if _EARLIER_CONSTRAINT in table.ddl:
            yield Change(
                what=f"constraint time_is_sane of {database}.{name} rejects events from before "
                "2020",
                sql=None,
                remedy=_OTHER_FRONT,
            )
        local = next(sql for sql in statements(target) if "MergeTree" in sql)
        yield from _changes_of_columns(table, local, f"{database}.{name}", alter)


def _changes_of_rows(table: Table, create: str, name: str, alter: str) -> Iterator[Change]:
    """Yield the differences of a table that holds the rows."""
    risk = engine_risk(table.engine_full)
    if risk is not None:
        yield Change(what=f"{name} {risk.what}", sql=None, remedy=risk.remedy)
    elif not table.holds_rows:
        yield Change(
            what=f"{name} is a {table.engine} table, which holds no rows itself",
            sql=None,
            remedy=_HOLDS_NO_ROWS,
        )
    if not table.holds_rows:
        return
    if table.is_older:
        yield Change(what=f"{name} has the layout of 2025", sql=None, remedy=_UPGRADE)
        return
    (keys,) = _KEYS.findall(create)
    for what, wanted, found in zip(
        ("partitioned", "sorted"),
        keys,
        (table.partition_key, table.sorting_key),
        strict=True,
    ):
        if wanted != found:
            yield Change(
                what=f"{name} is {what} by {found or 'nothing'}, not by {wanted}",
                sql=None,
                remedy=_OTHER_KEY,
            )
    yield from _changes_of_columns(table, create, name, alter)
    yield from _changes_of_parts(table, create, name, alter)
    settings = create.partition("\nSETTINGS ")[2]
    for setting, value in _SETTING.findall(settings):
        if f" {setting} = " not in table.ddl and setting != "index_granularity":
            yield Change(
                what=f"setting {setting} of {name} is missing",
                sql=f"{alter} MODIFY SETTING {setting} = {value}",
            )
    yield from _changes_of_times(table, name, alter)


def _changes_of_parts(table: Table, create: str, name: str, alter: str) -> Iterator[Change]:
    """Yield the missing indexes, constraints and projections that suit the table."""
    has_our_date = _OUR_DATE.search(table.ddl) is not None
    for kind, part, definition in (*_PART.findall(create), *_PROJECTION.findall(create)):
        suits = (
            table.keeps_each_row if kind == "PROJECTION" else has_our_date or part != _DATE_CHECK
        )
        if suits and f"{kind} {part} " not in table.ddl:
            yield Change(
                what=f"{kind.lower()} {part} of {name} is missing",
                sql=f"{alter} ADD {kind} IF NOT EXISTS {part} {' '.join(definition.split())}",
            )
    if not has_our_date and _OUR_DATE_CHECK.search(table.ddl):
        yield Change(
            what=f"constraint {_DATE_CHECK} of {name} rejects rows, because event_date has a "
            "default of its own",
            sql=f"{alter} DROP CONSTRAINT IF EXISTS {_DATE_CHECK}",
            done="dropped",
        )


def _changes_of_times(table: Table, name: str, alter: str) -> Iterator[Change]:
    """Yield the parts of an earlier release that drop or reject events of the past."""
    if _EARLIER_CONSTRAINT in table.ddl:
        yield Change(
            what=f"constraint time_is_sane of {name} rejects events from before 2020",
            sql=f"{alter} DROP CONSTRAINT time_is_sane, ADD CONSTRAINT time_is_sane {_CONSTRAINT}",
            done="replaced",
        )
    for column, emptied in column_ttls_of_past_events(table.ddl).items():
        yield Change(
            what=f"the TTL of column {column} of {name} counts from the event alone, so it drops "
            f"values of past events at once: TTL {emptied}",
            sql=None,
            remedy=_OTHER_COLUMN_TTL,
        )
    ttl = ttl_of_past_events(table.engine_full, table.ddl)
    if ttl is None:
        return
    what = f"the retention of {name} counts from the event alone, so it drops past events at once"
    if _EARLIER_TTL.fullmatch(ttl):
        later = ttl.replace("event_date", "greatest(event_date, toDate(ingested_at))")
        # The TTL of stored parts is computed again: with ttl_only_drop_parts, a small file a part.
        yield Change(what=what, sql=f"{alter} MODIFY TTL {later}", done="counted from ingestion")
    else:
        yield Change(what=f"{what}: TTL {ttl}", sql=None, remedy=_OTHER_TTL)


def _changes_of_columns(table: Table, create: str, name: str, alter: str) -> Iterator[Change]:
    before = ""
    for column, definition, wanted in _COLUMN.findall(create):
        found = table.columns.get(column)
        place = f" AFTER {before}" if before else " FIRST"
        before = column
        if found is None:
            yield Change(
                what=f"column {column} of {name} is missing",
                sql=f"{alter} ADD COLUMN IF NOT EXISTS {column} {definition}{place}",
            )
        elif found != wanted:
            yield Change(
                what=f"column {column} of {name} is {found}, not {wanted}",
                sql=None,
                remedy=_OTHER_TYPE,
            )
