"""An application that audits without a pause, so that a fault comes in the middle of inserts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TypeVar

from audit_handler import AuditHandler
from tests.faults.staging import Lines
from tests.support.spools import files_in

__all__ = ["Counting"]

ServerT = TypeVar("ServerT")


class Counting:
    """An application that audits one number after another on a thread, until it is told to stop."""

    def __init__(self, handler: AuditHandler, log: logging.Logger, lines: Lines) -> None:
        self.handler = handler
        self.acknowledged: list[int] = []
        self._log = log
        self._lines = lines
        self._stop = threading.Event()

    def audit(self, number: int) -> None:
        self._log.info(
            "n",
            extra={
                "action": "COUNT",
                "resource_type": "number",
                "resource_id": str(number),
                "agent_id": f"u-{number}",  # the sharding key: both shards get rows
            },
        )
        self.acknowledged.append(number)

    def outlive(
        self,
        victims: Iterable[ServerT],
        break_: Callable[[ServerT], None],
        heal: Callable[[ServerT], None],
    ) -> None:
        """
        Audit while each of *victims* in turn is broken in the middle of an insert.

        Each is healed when a delivery has failed, and the next is broken when one has succeeded
        again. All rows are delivered when this returns.
        """
        with self.running():
            for victim in victims:
                self._wait_until_sending()
                break_(victim)
                self._lines.wait_until_delivery(self.handler, fails=True)
                heal(victim)
                self._lines.wait_until_delivery(self.handler, fails=False)
        assert self.handler.flush(120.0)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Audit 500 numbers a second or fewer while the block runs."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _run(self) -> None:
        for number in count(len(self.acknowledged)):
            if self._stop.wait(0.002):
                return
            self.audit(number)

    def _wait_until_sending(self) -> None:
        """Return while a segment is under way to the server."""
        spool = self.handler.settings.spool_dir
        assert spool is not None
        while not any(path.suffix == ".sending" for path in files_in(Path(spool))):
            pass
