"""Log test events through the real handler, and count them in ClickHouse."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from audit_handler.handler import AuditHandler
from audit_handler.target import Target

__all__ = ["Loaded", "load"]

_ACTIONS = ("CREATE", "READ", "UPDATE", "DELETE", "LOGIN", "EXPORT")
_RESOURCES = ("order", "invoice", "user", "report")
_USERS = 20
_LOOK_SECONDS = 0.1  # Often enough for a progress bar.


class Client(Protocol):
    """The call of `audit_handler.clickhouse.ClickHouse` that counting makes."""

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The outcome for the test events."""

    run: str
    """*session_id* of all of them."""
    sent: int
    """Events that were logged."""
    arrived: int
    """Events that are in the table, as ClickHouse counts them."""
    doubled: int
    """Surplus rows of events that are stored more than once."""
    dropped: int
    """Events that the spool did not accept."""
    batches: int
    seconds: float
    """From the first logger call to the last acknowledgement."""
    last_error: str
    """The handler's last error; empty if there was none."""

    @property
    def is_whole(self) -> bool:
        return self.sent == self.arrived and not (self.doubled or self.dropped)

    @property
    def rows_per_second(self) -> float:
        return self.arrived / self.seconds if self.seconds else 0.0


def load(
    handler: AuditHandler,
    client: Client,
    *,
    rows: int,
    timeout: float,
    on_progress: Callable[[int, int], object],
) -> Loaded:
    """
    Log *rows* events of 20 users through *handler*, close it, and count the rows in the table.

    Args:
        handler: Used for nothing else; it is closed at the end.
        client: A connection to the same table.
        rows: Number of events.
        timeout: Seconds to wait for the last acknowledgement.
        on_progress: Called with the number of rows logged and of rows acknowledged so far; the
            latter may include rows of processes that ended before.

    Raises:
        DeliveryError: The rows cannot be counted.
    """
    run = f"load-{os.urandom(6).hex()}"
    started = time.monotonic()
    for number, record in enumerate(_records(rows, run), 1):
        handler.handle(record)
        if number % 1000 == 0:
            on_progress(number, handler.status().rows_stored)
    writer_id = handler.writer_id
    deadline = time.monotonic() + timeout
    while not handler.flush(_LOOK_SECONDS) and time.monotonic() < deadline:
        status = handler.status()
        on_progress(rows, status.rows_stored)
        if not status.rows_waiting:
            break  # Rows that are not stored by now were dropped or rejected.
    seconds = time.monotonic() - started
    status = handler.status()
    on_progress(rows, status.rows_stored)
    handler.close(0.0 if status.rows_waiting else timeout)
    arrived, doubled = _count(client, handler.settings.target, writer_id)
    return Loaded(
        run=run,
        sent=rows,
        arrived=arrived,
        doubled=doubled,
        dropped=status.rows_dropped,
        batches=status.batches_stored,
        seconds=seconds,
        last_error=status.last_error,
    )


def _records(rows: int, run: str) -> Iterator[logging.LogRecord]:
    chance = random.Random(run)  # noqa: S311  # test data
    for number in range(rows):
        user = number % _USERS + 1
        action = chance.choice(_ACTIONS)
        kind = chance.choice(_RESOURCES)
        resource = f"{kind[0]}-{chance.randrange(1000)}"
        has_failed = chance.random() < 0.05
        fields: dict[str, Any] = {
            "name": "audit_load",
            "levelname": "INFO",
            "msg": "a test event of: audit-handler load",
            "agent_id": f"test-user-{user:02d}",
            "agent_name": f"Test user {user}",
            "agent_role": "admin" if user == 1 else "user",
            "action": action,
            "resource_type": kind,
            "resource_id": resource,
            "ip_address": f"192.0.2.{user}",
            "endpoint": f"/api/{kind}s/{resource}",
            "http_method": "GET" if action in ("READ", "EXPORT") else "POST",
            "status_code": 500 if has_failed else 200,
            "response_time_ms": int(chance.expovariate(1 / 40)),
            "request_id": f"{run}-{number}",
            "session_id": run,
            "user_agent": "audit-handler load",
        }
        if has_failed:
            fields["error_message"] = "a made-up failure"
        if action == "UPDATE":
            fields["old_value"] = {"state": "open", "total": number}
            fields["new_value"] = {"state": "done", "total": number}
        yield logging.makeLogRecord(fields)


def _count(client: Client, target: Target, writer_id: str) -> tuple[int, int]:
    """
    Return how many different rows of the writer are stored, and how many duplicates.

    Reads only the three columns of the handler's own look-up: its user may have no right to others.
    """
    table = f"`{target.database}`.`{target.table}`"
    (row,) = client.query(
        f"SELECT count() AS rows, uniqExact(seq) AS different FROM {table} "  # noqa: S608  # checked names
        "WHERE writer_id = {writer_id:String} AND event_date >= today() - 1",
        {"writer_id": writer_id},
    )
    return row["different"], row["rows"] - row["different"]
