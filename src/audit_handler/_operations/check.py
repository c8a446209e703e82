"""
Find out why no rows arrive: try each step from the application to the table, and name the remedy of
a failed step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, Protocol

from audit_handler._ids import EventIds, new_writer_id
from audit_handler._native import path
from audit_handler._operations.check_address import ADDRESS, check_address
from audit_handler._operations.check_server import ServerSteps
from audit_handler._operations.check_spool import FAILED, OK, SKIPPED, WARNING, Finding, check_spool
from audit_handler._operations.check_table import TableSteps
from audit_handler.config import Settings
from audit_handler.errors import DataError, DeliveryError, SetupError
from audit_handler.spool import Files

__all__ = ["Connection", "Finding", "check"]


class Connection(Protocol):
    """The calls of `audit_handler.clickhouse.ClickHouse` that the steps make."""

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]: ...

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None: ...

    def insert(self, lines: bytes, *, token: str) -> None: ...

    def stored(
        self, writer_id: str, first_seq: int, last_seq: int, lines: bytes
    ) -> set[int] | None: ...


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
    Yield the findings of each step as they come. A failure is a finding; nothing is raised.

    Args:
        settings: The settings of the application.
        connection: To the settings' target.
        files: The file operations of the spool.
        now: Returns Unix seconds.
        sends_row: Send a test row. It stays in the trail, with the action ``AUDIT_CHECK``: a user
            who writes audit events should not have the right to delete them.
        on_step: Called with the name of each step before it is tried.
    """
    server = ServerSteps(connection, settings.target, now)
    table = TableSteps(connection, settings.target)
    steps: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        (ADDRESS, lambda: check_address(settings)),
        ("encoder", _check_encoder),
        ("connection", server.connection),
        ("clock", server.clock),
        ("database", server.database),
        ("table", table.columns),
        ("deduplication", table.deduplication),
    ]
    if sends_row:
        steps.append(
            ("test row", lambda: _send_row(connection, settings, now(), is_older=table.is_older))
        )
    failed = ""
    for name, step in steps:
        if failed:
            yield Finding(step=name, state=SKIPPED, detail=f"fix first: {failed}")
            continue
        on_step(name)
        try:
            for finding in step():
                yield finding
                # The later steps would only repeat it.
                failed = failed or (name if finding.state == FAILED else "")
        except DeliveryError as exc:
            failed = name
            yield Finding(step=name, state=FAILED, detail=exc.problem, remedy=exc.remedy)
    on_step("spool")
    yield from check_spool(settings, files)


def _check_encoder() -> Iterator[Finding]:
    """Tell which code encodes the ordinary record. Both store the same rows."""
    yield Finding(step="encoder", state=OK, detail=path())


def _send_row(
    connection: Connection, settings: Settings, moment: float, *, is_older: bool
) -> Iterator[Finding]:
    """
    Send a test row, and look it up.

    Args:
        connection: To the table.
        settings: The settings of the application.
        moment: The row's time, in Unix seconds.
        is_older: Whether the table has the layout of 2025.
    """
    writer_id = new_writer_id()
    row = {
        "writer_id": writer_id,
        "seq": 1,
        "event_time": f"{datetime.fromtimestamp(moment, timezone.utc):%Y-%m-%d %H:%M:%S.%f}",
        "event_id": EventIds().next(moment),
        "agent_id": "audit-handler",
        "action": "AUDIT_CHECK",
        "outcome": "success",
        "resource_type": "audit_log",
        "service_name": settings.service_name,
        "level": "INFO",
        "logger": "audit_handler.check",
        "message": "a test row of: audit-handler check",
    }
    line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
    try:
        connection.insert(line, token=f"{writer_id}:1-1")
    except DataError as exc:
        yield Finding(
            step="test row",
            state=FAILED,
            detail=f"ClickHouse rejects it: {exc.problem}",
            remedy="compare the columns and constraints of the table with sql/node/2_table.sql",
        )
        return
    if is_older:
        detail = "stored; the layout of 2025 has no column to find it by"
        yield Finding(step="test row", state=OK, detail=detail)
        return
    try:
        stored = connection.stored(writer_id, 1, 1, line)
    except SetupError as exc:
        yield Finding(step="test row", state=FAILED, detail=exc.problem, remedy=exc.remedy)
        return
    if stored is None:
        yield Finding(
            step="test row",
            state=WARNING,
            detail="stored, but this user may not look it up: after a timeout, only the "
            "deduplication window prevents duplicates",
            remedy="grant SELECT(writer_id, seq, event_date) on the table to the user of the dsn",
        )
    elif not stored:
        yield Finding(
            step="test row",
            state=FAILED,
            detail="the insert was acknowledged, but the row is not there",
            remedy="look for a row policy, an expired TTL, or replicas that lag behind",
        )
    else:
        detail = f"stored and found again; it stays, as AUDIT_CHECK {row['event_id']}"
        yield Finding(step="test row", state=OK, detail=detail)
