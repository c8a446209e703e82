"""The steps of ``audit-handler check`` about the table: its columns, and how it deduplicates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from audit_handler._operations.check_spool import FAILED, OK, WARNING, Finding
from audit_handler.errors import SetupError
from audit_handler.schema import (
    OLDER_COLUMNS,
    WRITTEN_COLUMNS,
    Client,
    changes,
    engine_risk,
    existing_table,
)
from audit_handler.target import Target

__all__ = ["INIT", "TableSteps"]

INIT = "create or upgrade it with: audit-handler init (as a user with CREATE and ALTER privileges)"

_WINDOW = re.compile(
    r"(non_replicated_deduplication_window|replicated_deduplication_window) = (\d+)"
)


class TableSteps:
    """
    Check the table of *target*.

    Args:
        connection: To its server.
        target: Where the rows go.
    """

    def __init__(self, connection: Client, target: Target) -> None:
        self._connection = connection
        self._target = target
        self.is_older = False
        """Whether the table has the layout of 2025; known after `columns`."""

    def columns(self) -> Iterator[Finding]:
        """Compare the table with ``sql/``, and look for an ALTER that cannot finish."""
        name = f"{self._target.database}.{self._target.table}"
        table = existing_table(self._connection, self._target.database, self._target.table)
        if table is None:
            yield Finding(
                step="table",
                state=FAILED,
                detail=f"{name} is missing, or not visible to this user",
                remedy=f"{INIT}; a user sees a table once it has a grant on it (sql/access/)",
            )
            return
        others = changes(self._connection, self._target)
        self.is_older = table.is_older
        wanted = OLDER_COLUMNS if self.is_older else WRITTEN_COLUMNS
        missing = [column for column in wanted if column not in table.columns]
        if missing:
            yield Finding(
                step="table",
                state=FAILED,
                detail=f"{name} lacks the columns {', '.join(missing)}",
                remedy=INIT,
            )
            return
        for change in others:
            remedy = change.remedy or INIT
            yield Finding(step="table", state=WARNING, detail=change.what, remedy=remedy)
        stuck = self._stuck_mutations()
        yield from stuck
        if not (others or stuck):
            detail = f"{name} is up to date, {len(table.columns)} columns"
            yield Finding(step="table", state=OK, detail=detail)

    def _stuck_mutations(self) -> list[Finding]:
        """
        Return a warning for each ALTER that the server cannot finish; none if the user may not read
        ``system.mutations``.
        """
        with suppress(SetupError):
            stuck = self._connection.query(
                "SELECT table, mutation_id, command, left(latest_fail_reason, 300) AS reason "
                "FROM system.mutations WHERE database = {database:String} "
                "AND table IN ({table:String}, {local:String}) "
                "AND NOT is_done AND latest_fail_reason != '' ORDER BY create_time LIMIT 10",
                {
                    "database": self._target.database,
                    "table": self._target.table,
                    "local": f"{self._target.table}_local",
                },
            )
            return [
                Finding(
                    step="table",
                    state=WARNING,
                    detail=f"{row['table']}: {row['command']} cannot finish: {row['reason']}",
                    remedy="fix the cause, or cancel it: KILL MUTATION WHERE "
                    f"database = '{self._target.database}' AND table = '{row['table']}' "
                    f"AND mutation_id = '{row['mutation_id']}'",
                )
                for row in stuck
            ]
        return []

    def deduplication(self) -> Iterator[Finding]:
        """Check whether the table that holds the rows remembers the tokens of inserts."""
        for name in (self._target.table, f"{self._target.table}_local"):
            table = existing_table(self._connection, self._target.database, name)
            if table is not None and table.holds_rows:
                break
        else:
            front = existing_table(self._connection, self._target.database, self._target.table)
            risk = engine_risk(front.engine_full) if front is not None else None
            if front is not None and risk is not None:
                yield Finding(
                    step="deduplication",
                    state=WARNING,
                    detail=f"a {front.engine} table does not recognise a repeated insert",
                    remedy=risk.remedy,
                )
                return
            yield Finding(
                step="deduplication",
                state=WARNING,
                detail="the table that holds the rows is not visible to this user",
                remedy="run this check as an administrator to see its deduplication window",
            )
            return
        is_replicated = table.engine.startswith("Replicated")
        found = {setting: int(value) for setting, value in _WINDOW.findall(table.ddl)}
        setting = f"{'' if is_replicated else 'non_'}replicated_deduplication_window"
        # The server's default is 0 for plain tables, and enough for replicated ones.
        window = found.get(setting, 10_000 if is_replicated else 0)
        if window:
            detail = f"{setting} = {window}: ClickHouse recognises a repeated insert"
            yield Finding(step="deduplication", state=OK, detail=detail)
        else:
            yield Finding(
                step="deduplication",
                state=WARNING,
                detail=f"{setting} is 0: "
                + (
                    "nothing keeps a repeated insert from doubling rows, because the layout of "
                    "2025 has no columns to look rows up by"
                    if self.is_older
                    else "only the look-up keeps a repeated insert from doubling rows"
                ),
                remedy=f"ALTER TABLE {self._target.database}.{name} MODIFY SETTING "
                f"{setting} = 10000",
            )
