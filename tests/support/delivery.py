"""Handlers that deliver to the loopback server, and a listener that delivers to a script."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from audit_handler import AuditHandler
from audit_handler._delivery.attempt import Delivery
from audit_handler._delivery.listener import Listener
from audit_handler._delivery.trouble import Trouble
from audit_handler.clickhouse import ClickHouse
from audit_handler.errors import DataError, DeliveryError, SetupError, TransientError
from audit_handler.spool import Spool
from audit_handler.status import Counters
from tests.support.doubles import ScriptedDestination, SteppingClock
from tests.support.loopback import LoopbackClickHouse
from tests.support.spools import make_spool

MakeHandler = Callable[..., AuditHandler]

AUDIT = {"action": "CREATE", "resource_type": "order", "resource_id": "o-17"}

TIMEOUT = TransientError("read timed out")
REFUSED = TransientError("connection refused", is_ambiguous=False)
NO_TABLE = SetupError("code 60: no such table; run audit-handler init", code=60)


def refuse_strangers(server: LoopbackClickHouse, handler: AuditHandler) -> None:
    """Create the table of *handler*, with a constraint that rejects the *agent_id* ``stranger``."""
    target = handler.settings.target
    with closing(ClickHouse(target, create_table=True, async_insert=False)) as clickhouse:
        clickhouse.create_table()
    server.command(
        f"ALTER TABLE {target.database}.{target.table} "
        "ADD CONSTRAINT known CHECK agent_id != 'stranger'"
    )


class Bench:
    """
    A spool of ten-row segments, a scripted ClickHouse, and a listener that runs on the test's
    thread.
    """

    def __init__(
        self, directory: Path, *script: DeliveryError | tuple[DeliveryError, bool] | None
    ) -> None:
        # In a directory of its own: the directories beside it would be other targets.
        self.directory = directory / "target"
        self.clock = SteppingClock()
        self.counters = Counters()
        self.destination = ScriptedDestination(*script)
        self.spool = self.new_spool()

    def new_spool(self, **options: Any) -> Spool:
        return make_spool(self.directory, batch_size=10, clock=self.clock, fsync="batch", **options)

    def listener(self, jitter: Callable[[], float] = lambda: 1.0) -> Listener:
        return Listener(
            self.spool,
            self.destination,
            counters=self.counters,
            clock=self.clock,
            retry_min=0.2,
            retry_max=30.0,
            jitter=jitter,
        )

    def deliver(self) -> None:
        """Run the listener until the spool is empty."""
        listener = self.listener()
        listener.drain()
        self.spool.adopt()
        listener.serve()

    def delivery(self) -> Delivery:
        """Return the delivery of the next segment."""
        segment = self.spool.get(0.0)
        assert segment is not None
        trouble = Trouble(self.counters, self.spool)
        return Delivery(segment, self.spool, self.destination, self.counters, trouble)

    @property
    def stored(self) -> list[int]:
        return sorted(json.loads(line)["n"] for line in self.destination.rows)

    @property
    def rejected(self) -> list[int]:
        files = (self.directory / "rejected").glob("*.ndjson")
        return sorted(
            json.loads(line)["n"] for file in files for line in file.read_bytes().splitlines()
        )


def refuse_rows(
    *bad: int, names_row: bool = True, code: int = 27
) -> Callable[[bytes], DataError | None]:
    """
    Return a server's answer to inserts with *bad* rows: it rejects the whole insert and, with
    *names_row*, names the first bad row.
    """

    def refuse(lines: bytes) -> DataError | None:
        for position, line in enumerate(lines.splitlines(), start=1):
            if json.loads(line)["n"] in bad:
                return DataError("code 27", code=code, row=position if names_row else None)
        return None

    return refuse


def stored_messages(server: LoopbackClickHouse, database: str) -> list[str]:
    """Return the messages of all stored rows, in alphabetical order."""
    rows = server.query(f"SELECT message FROM {database}.audit_logs ORDER BY message")
    return [row["message"] for row in rows]
