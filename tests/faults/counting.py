"""An application that audits without a pause, so that a fault comes in the middle of inserts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from audit_handler import AuditHandler

__all__ = ["Counting"]


class Counting:
    """An application that audits one number after another on a thread, until it is told to stop."""

    def __init__(self, handler: AuditHandler, log: logging.Logger) -> None:
        self.handler = handler
        self.acknowledged: list[int] = []
        self._log = log
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

    def wait_until_sending(self) -> None:
        """Return while a segment is under way to the server."""
        spool = self.handler.settings.spool_dir
        assert spool is not None
        while not any(Path(spool).rglob("*.sending")):
            pass
