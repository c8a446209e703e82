"""
Why does nothing arrive? Every step of a row's way, tried one after the other, each with its remedy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from audit_handler._ids import EventIds, new_writer_id
from audit_handler._operations.check_spool import FAILED, OK, SKIPPED, WARNING, Finding, check_spool
from audit_handler.config import Settings
from audit_handler.errors import DeliveryError, SetupError
from audit_handler.schema import OLDER_COLUMNS, WRITTEN_COLUMNS, changes, existing_table
from audit_handler.spool import Files
from audit_handler.target import Target

__all__ = ["Finding", "check", "require_directory"]

_SKEW_SECONDS = 2.0
# Below it, clocks are as near as NTP keeps them on a bad day.
_INIT = "create or mend it with: audit-handler init (as a user who may CREATE and ALTER)"
_LOOK_UP_GRANT = "grant SELECT(writer_id, seq, event_date) on the table to the user of the dsn"
_WINDOW = re.compile(
    r"(non_replicated_deduplication_window|replicated_deduplication_window) = (\d+)"
)


class Connection(Protocol):
    """What the steps need of `audit_handler.clickhouse.ClickHouse`."""

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]: ...

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None: ...

    def insert(self, lines: bytes, *, token: str) -> None: ...

    def stored(
        self, writer_id: str, first_seq: int, last_seq: int, lines: bytes
    ) -> set[int] | None: ...


def require_directory(target: Target, *, may_be_made: bool = False) -> None:
    """
    Do nothing unless *target* is an embedded database that is not there. chDB would make an empty
    one, in whatever directory it is given, and say that the table is missing.

    Args:
        target: Where the rows go.
        may_be_made: Make the directory where it is missing.

    Raises:
        SetupError: Its directory is missing, cannot be made or read, or is one for something else.
    """
    if not target.is_embedded or target.is_in_memory:
        return
    path = Path(target.path)
    try:
        if may_be_made:
            path.mkdir(parents=True, exist_ok=True)
        elif not path.is_dir():
            raise SetupError(
                f"{path} is no directory",
                remedy="check the path in the dsn, or make the database with: audit-handler init",
            )
        names = {each.name for each in path.iterdir()}
    except OSError as exc:
        raise SetupError(
            f"{path} cannot be {'made' if may_be_made else 'read'}: {exc.strerror or exc}",
            remedy="give the dsn a directory that this user may create and write to",
        ) from exc
    # An engine that holds no table has made the first two only.
    if names - {"tmp", "status"} and "metadata" not in names:
        raise SetupError(
            f"{path} holds other files, and no database of chDB",
            remedy="give the dsn a directory of the database's own",
        )


_Step = Callable[["_Checks"], Iterator[Finding]]


def check(
    settings: Settings,
    connection: Connection,
    files: Files,
    *,
    now: Callable[[], float],
    sends_row: bool = True,
    on_step: Callable[[str], object] = lambda _step: None,
) -> Iterator[Finding]:
    """
    Yield what each step finds, as it is found. Raises nothing that a step can meet.

    Args:
        settings: As the application has them.
        connection: To the settings' target.
        files: The file operations of the spool.
        now: Returns Unix seconds.
        sends_row: Send a test row. It stays in the trail, with the action ``AUDIT_CHECK``: deleting
            needs a grant that nobody who writes audits should have.
        on_step: Called with the name of each step before it is tried.
    """
    checks = _Checks(settings, connection, now)
    steps: list[tuple[str, _Step]] = [
        ("connection", _Checks.connect),
        ("clock", _Checks.clock),
        ("database", _Checks.database),
        ("table", _Checks.table),
        ("deduplication", _Checks.deduplication),
    ]
    if sends_row:
        steps.append(("test row", _Checks.test_row))
    failed = ""
    for name, step in steps:
        if failed:
            yield Finding(step=name, state=SKIPPED, detail=f"first mend: {failed}")
            continue
        on_step(name)
        try:
            for finding in step(checks):
                yield finding
                # What comes later would only say the same again.
                failed = failed or (name if finding.state == FAILED else "")
        except DeliveryError as exc:
            failed = name
            yield Finding(step=name, state=FAILED, detail=exc.problem, remedy=exc.remedy)
    on_step("spool")
    yield from check_spool(settings, files)


class _Checks:
    """The steps. What one learns, the later ones use."""

    def __init__(
        self, settings: Settings, connection: Connection, now: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._target: Target = settings.target
        self._connection = connection
        self._now = now
        self._is_older = False

    def connect(self) -> Iterator[Finding]:
        require_directory(self._target)
        (row,) = self._connection.query("SELECT version() AS version, currentUser() AS user")
        detail = f"{self._target.location}, ClickHouse {row['version']}, as {row['user']}"
        yield Finding(step="connection", state=OK, detail=detail)

    def clock(self) -> Iterator[Finding]:
        if self._target.is_embedded:
            return
        before = self._now()
        (row,) = self._connection.query("SELECT toUnixTimestamp64Micro(now64(6)) AS now")
        after = self._now()
        # It was read somewhere between the two.
        skew = row["now"] / 1e6 - (before + after) / 2
        certain = abs(skew) - (after - before) / 2
        detail = f"the server's clock is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
        if certain > _SKEW_SECONDS:
            yield Finding(
                step="clock",
                state=WARNING,
                detail=detail,
                remedy="set both clocks by NTP: the times of several machines are compared, "
                "and a time that lies more than a day ahead is not stored as event_time",
            )
        else:
            yield Finding(step="clock", state=OK, detail=detail)

    def database(self) -> Iterator[Finding]:
        names = self._connection.query(
            "SELECT name FROM system.databases "
            "WHERE lower(name) NOT IN ('system', 'information_schema') ORDER BY name LIMIT 50"
        )
        visible = ", ".join(row["name"] for row in names) or "none"
        if any(row["name"] == self._target.database for row in names) or existing_table(
            self._connection, self._target.database, self._target.table
        ):
            yield Finding(step="database", state=OK, detail=f"visible: {visible}")
            return
        yield Finding(
            step="database",
            state=FAILED,
            detail=f"{self._target.database} is missing, or not visible to this user; "
            f"visible: {visible}",
            remedy=f"{_INIT}; check database in the dsn; a user sees a database once it has a "
            "grant in it (sql/access/)",
        )

    def table(self) -> Iterator[Finding]:
        name = f"{self._target.database}.{self._target.table}"
        table = existing_table(self._connection, self._target.database, self._target.table)
        if table is None:
            yield Finding(
                step="table",
                state=FAILED,
                detail=f"{name} is missing, or not visible to this user",
                remedy=f"{_INIT}; a user sees a table once it has a grant on it (sql/access/)",
            )
            return
        others = changes(self._connection, self._target)
        self._is_older = table.is_older
        wanted = OLDER_COLUMNS if self._is_older else WRITTEN_COLUMNS
        missing = [column for column in wanted if column not in table.columns]
        if missing:
            yield Finding(
                step="table",
                state=FAILED,
                detail=f"{name} lacks the columns {', '.join(missing)}",
                remedy=_INIT,
            )
            return
        for change in others:
            remedy = change.remedy or _INIT
            yield Finding(step="table", state=WARNING, detail=change.what, remedy=remedy)
        stuck = self._stuck_mutations()
        yield from stuck
        if not (others or stuck):
            detail = f"{name} is as it should be, {len(table.columns)} columns"
            yield Finding(step="table", state=OK, detail=detail)

    def _stuck_mutations(self) -> list[Finding]:
        """Return a warning for each ALTER that the server cannot finish, where it may be asked."""
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
                    detail=f"{row['table']}: {row['command']} does not get done: {row['reason']}",
                    remedy="mend its reason, or give it up: KILL MUTATION WHERE "
                    f"database = '{self._target.database}' AND table = '{row['table']}' "
                    f"AND mutation_id = '{row['mutation_id']}'",
                )
                for row in stuck
            ]
        return []

    def deduplication(self) -> Iterator[Finding]:
        for name in (self._target.table, f"{self._target.table}_local"):
            table = existing_table(self._connection, self._target.database, name)
            if table is not None and table.holds_rows:
                break
        else:
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
        # A server's own default is 0 for plain tables, and enough for replicated ones.
        window = found.get(setting, 10_000 if is_replicated else 0)
        if window:
            detail = f"{setting} = {window}: an insert that is repeated is recognised"
            yield Finding(step="deduplication", state=OK, detail=detail)
        else:
            yield Finding(
                step="deduplication",
                state=WARNING,
                detail=f"{setting} is 0: "
                + (
                    "nothing keeps a repeated insert from doubling rows, because the layout of "
                    "2025 has no columns to look them up by"
                    if self._is_older
                    else "only the look-up keeps a repeated insert from doubling rows"
                ),
                remedy=f"ALTER TABLE {self._target.database}.{name} MODIFY SETTING "
                f"{setting} = 10000",
            )

    def test_row(self) -> Iterator[Finding]:
        writer_id = new_writer_id()
        moment = self._now()
        row = {
            "writer_id": writer_id,
            "seq": 1,
            "event_time": f"{datetime.fromtimestamp(moment, timezone.utc):%Y-%m-%d %H:%M:%S.%f}",
            "event_id": EventIds().next(moment),
            "agent_id": "audit-handler",
            "action": "AUDIT_CHECK",
            "outcome": "success",
            "resource_type": "audit_log",
            "service_name": self._settings.service_name,
            "level": "INFO",
            "logger": "audit_handler.check",
            "message": "a test row of: audit-handler check",
        }
        line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
        self._connection.insert(line, token=f"{writer_id}:1-1")
        if self._is_older:
            detail = "stored; the layout of 2025 has no column to find it by"
            yield Finding(step="test row", state=OK, detail=detail)
            return
        try:
            stored = self._connection.stored(writer_id, 1, 1, line)
        except SetupError as exc:
            yield Finding(step="test row", state=FAILED, detail=exc.problem, remedy=exc.remedy)
            return
        if stored is None:
            yield Finding(
                step="test row",
                state=WARNING,
                detail="stored, but this user may not look it up: after a timeout, deduplication "
                "rests on the window alone",
                remedy=_LOOK_UP_GRANT,
            )
        elif not stored:
            yield Finding(
                step="test row",
                state=FAILED,
                detail="the insert was acknowledged, and the row is not there",
                remedy="look for a row policy, a TTL that is over, or replicas that lag behind",
            )
        else:
            detail = f"stored and found again; it stays, as AUDIT_CHECK {row['event_id']}"
            yield Finding(step="test row", state=OK, detail=detail)
