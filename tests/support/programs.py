"""
Programs for the tests about processes: a spool, a database, and real interpreters that log into
them.

Nothing here imports chDB: a process that has loaded it cannot fork safely, and pytest's process
must.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.engines import Engine
from tests.support.loopback import LoopbackClickHouse
from tests.support.verdicts import report, verdict_on

__all__ = ["PRELUDE", "World", "output_of"]

PRELUDE = """
import logging, os, signal, sys, threading, time
from audit_handler import AuditHandler

handler = AuditHandler(
    flush_interval_ms=10, retry_min_ms=1, retry_max_ms=50, create_table=True, batch_size=500,
    shutdown_timeout=60
)
log = logging.getLogger("shop")
log.addHandler(handler)
log.setLevel("INFO")

def audit(number):
    log.info("n", extra={"action": "COUNT", "resource_type": "number", "resource_id": str(number)})
    os.write(1, b"%d\\n" % number)  # only after the call has returned

def wait_for_signals():
    # Not signal.pause(): Python would handle a signal that comes just before it after the next one.
    while True: time.sleep(0.1)
"""


def output_of(process: subprocess.Popen[Any]) -> tuple[Any, Any]:
    """
    Wait for the end of *process* and return what it printed on its two streams.

    Raises:
        subprocess.TimeoutExpired: It did not end within 100 s, and was killed: a process that
            outlives its test disturbs the others.
    """
    try:
        return process.communicate(timeout=100)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise


class World:
    """A spool, a database, and programs that log into them."""

    def __init__(
        self, directory: Path, dsn: str, database: str, server: LoopbackClickHouse | None
    ) -> None:
        self.directory = directory
        self.dsn = dsn
        self.database = database
        self.table = f"{database}.audit_logs"
        self._server = server
        self.environment = {
            **os.environ,
            "CLICKHOUSE_URL": dsn,
            "CLICKHOUSE_DATABASE": database,
            "AUDIT_SPOOL_DIR": str(directory / "spool"),
        }

    def start(
        self,
        program: str,
        prelude: str = PRELUDE,
        *,
        environment: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
    ) -> subprocess.Popen[bytes]:
        """
        Start *program*; it prints the number of each audit event after its call has returned.

        Args:
            environment: Variables in addition to the world's own.
            wrapper: A command with its arguments; the interpreter's command is appended to it.
        """
        source = prelude + textwrap.dedent(program)
        python = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", source]
        return subprocess.Popen(
            [*wrapper, *python],
            env={**self.environment, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(
        self, program: str, status: int = 0, prelude: str = PRELUDE, **options: Any
    ) -> list[int]:
        """Run *program* to its end, check its exit code, and return the numbers that it printed."""
        process = self.start(program, prelude, **options)
        printed, complaints = output_of(process)
        assert process.returncode == status, complaints.decode()
        return [int(line) for line in printed.splitlines()]

    def finish(self) -> None:
        """Run the same application once more, as an operator would."""
        self.run("assert handler.flush() and handler.close()")

    @contextmanager
    def server(self) -> Iterator[Engine]:
        if self._server:
            yield self._server
        else:
            with LoopbackClickHouse.start(self.directory / "db") as server:
                yield server

    def query(self, sql: str) -> list[dict[str, Any]]:
        with self.server() as server:
            return server.query(sql)

    def assert_whole(
        self,
        acknowledged: list[int],
        *,
        surplus: int = 0,
        row: str = "processes, however they begin and end",
    ) -> None:
        """
        Check that every acknowledged row is stored once, with no gap and no repeat in any writer's
        numbering.

        Args:
            acknowledged: The numbers of the calls that have returned.
            surplus: Number of additional rows that may be stored: rows of calls that a kill
                interrupted.
            row: The row of the failure table, for the report.
        """
        with self.server() as server:
            verdict = verdict_on(server, self.table, acknowledged)
        report(row, _name_of_this_test(), verdict)
        assert (0, 0) == (verdict.lost, verdict.doubled), verdict
        assert verdict.unacknowledged <= surplus, verdict
        waiting = [path for path in (self.directory / "spool").rglob("*") if path.is_file()]
        assert [] == waiting


def _name_of_this_test() -> str:
    name = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("::")[2].partition(" (")[0]
    return name.removeprefix("test_").replace("_", " ")
