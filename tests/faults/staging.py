"""
What the fault tests share: an application that numbers its audits, the lines that were said about
it, and disks with little room.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

import pytest

from audit_handler import AuditHandler
from tests.support.engines import Engine
from tests.support.loopback import LoggedRequest, LoopbackClickHouse
from tests.support.verdicts import Verdict

__all__ = [
    "Application",
    "Judge",
    "Lines",
    "needs_private_mounts",
    "obeying_modes",
    "on_small_disk",
    "trials",
]


def trials(usual: int) -> int:
    """Return how many trials to make: *usual*, or what ``make faults`` asks for."""
    return int(os.environ.get("AUDIT_FAULT_TRIALS", usual))


class Application:
    """An application in this process: a logger, its handler, and the numbers that it audited."""

    def __init__(
        self, handler: AuditHandler, log: logging.Logger, server: LoopbackClickHouse, database: str
    ) -> None:
        self.handler = handler
        self.log = log
        self.server = server
        self.database = database
        self.table = f"{database}.audit_logs"
        self.acknowledged: list[int] = []
        self.insert = rf"^\s*INSERT INTO `{database}`"
        """Matches an insert of ours in the server's request log."""
        self.look_up = rf"^\s*SELECT seq AS \w+ FROM `{database}`"
        """Matches a look-up of ours in the server's request log."""

    def audit(self, count: int = 1, **extra: Any) -> None:
        """Audit the next *count* numbers; each is acknowledged when its call has returned."""
        for _ in range(count):
            number = len(self.acknowledged)
            self.log.info(
                "n",
                extra={
                    "action": "COUNT",
                    "resource_type": "number",
                    "resource_id": str(number),
                    **extra,
                },
            )
            self.acknowledged.append(number)

    def inserts(self) -> list[LoggedRequest]:
        """Return the inserts that the server has seen."""
        return self.server.requests(self.insert)

    def tokens(self) -> list[str]:
        """Return the deduplication tokens of the inserts, in the order in which they arrived."""
        return [entry["settings"]["insert_deduplication_token"] for entry in self.inserts()]


class Lines(logging.Handler):
    """The lines that the package said, and a way to wait for one."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()
        self._lines: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self._lines.append((record.levelno, record.getMessage()))
            self._changed.notify_all()

    def matching(self, pattern: str, level: int = logging.NOTSET) -> list[str]:
        """Return the lines in which *pattern* is found, of at least *level*."""
        with self._changed:
            return [
                line for number, line in self._lines if number >= level and re.search(pattern, line)
            ]

    def wait(self, pattern: str, count: int = 1, timeout: float = 60.0) -> None:
        """Wait until *pattern* was found in *count* lines."""
        with self._changed:
            is_there = self._changed.wait_for(
                lambda: sum(bool(re.search(pattern, line)) for _, line in self._lines) >= count,
                timeout,
            )
        assert is_there, f"not {count} times {pattern!r} in {self._lines}"

    def wait_until_delivery(
        self, handler: AuditHandler, *, fails: bool, timeout: float = 60.0
    ) -> None:
        """Wait until *handler* says that its deliveries fail, or succeed again."""
        deadline = time.monotonic() + timeout
        while True:
            with self._changed:
                seen = len(self._lines)
            # Not under our lock: who logs may hold the one that a status needs. The error is
            # updated before its line, so a line that we have not seen ends the wait.
            if bool(handler.status().last_error) is fails:
                return
            with self._changed:
                has_more = self._changed.wait_for(
                    partial(self._has_more_than, seen), deadline - time.monotonic()
                )
            assert has_more, f"delivery {'succeeds' if fails else 'fails'} still: {self._lines}"

    def _has_more_than(self, seen: int) -> bool:
        return len(self._lines) > seen


class Judge(Protocol):
    """Compares, records the verdict for the report, and fails unless everything is whole."""

    def __call__(
        self,
        row: str,
        fault: str,
        engine: Engine,
        table: str,
        acknowledged: Iterable[int],
        *,
        trials: int = 1,
        surplus: int = 0,
        reported: Iterable[int] = (),
    ) -> Verdict: ...


# What it takes to make a disk full or read-only for one program alone


def on_small_disk(directory: os.PathLike[str], size: str) -> list[str]:
    """
    Return a wrapper that runs a program with a file system of *size* mounted on *directory*.

    In a mount namespace of its own, so that nothing is left of it afterwards, and no root is needed
    where the kernel lets users have namespaces.
    """
    mount = f"mount -t tmpfs -o size={size} tmpfs '{os.fspath(directory)}'"
    return ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh"]


def _can_mount() -> bool:
    if not sys.platform.startswith("linux") or shutil.which("unshare") is None:
        return False
    return os.system("unshare -rm mount -t tmpfs tmpfs /mnt >/dev/null 2>&1") == 0


needs_private_mounts: Callable[[Any], Any] = pytest.mark.skipif(
    not _can_mount(), reason="this system gives no mount namespace (unshare -rm)"
)


def obeying_modes() -> list[str]:
    """Return a wrapper under which root, too, may not write what is read-only."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("run as root, and there is no setpriv to take root's privilege away")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
