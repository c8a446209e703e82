"""
An outage that leaves two million rows waiting: memory, disk, and the way back.

``python -m tests.faults.outage``. One application with the defaults (but for the bound of its
spool, which two million rows come near) logs to a server that is there, then to one that is not,
then the server comes back, and the application goes on logging. Its memory is read from outside,
twice a second, during all of it.

Two speeds are compared: how fast the rows of the outage arrive after it, and how fast the same
application logs and delivers flat out when nothing is wrong.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from audit_handler import AuditHandler
from tests.faults import results
from tests.support.engines import completeness
from tests.support.loopback import LoopbackClickHouse
from tests.support.verdicts import Verdict

__all__ = ["main"]

DATABASE = "outage"
SAMPLE_SECONDS = 0.5


def application(dsn: str, spool: str) -> None:
    """
    Do what stdin says, and answer each line: ``log N`` logs N rows flat out, ``flush N`` waits
    until they are stored, N seconds at most.
    """
    handler = AuditHandler(dsn, spool_dir=spool, create_table=True, max_spool_bytes=1 << 40)
    log = logging.getLogger("outage")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    number = 0
    for line in sys.stdin:
        command, argument = line.split()
        began = time.monotonic()
        if command == "log":
            for _ in range(int(argument)):
                number += 1
                log.info(
                    "order %d changed",
                    number,
                    extra={
                        "action": "UPDATE",
                        "resource_type": "order",
                        "resource_id": str(number),
                        "agent_id": f"u-{number % 1000}",
                        "new_value": {"state": "paid", "total": number % 977},
                    },
                )
        else:
            assert handler.flush(float(argument)), handler.status()
        print(time.monotonic() - began, flush=True)


class Application:
    """The application in a process, and the memory that it takes."""

    def __init__(self, dsn: str, spool: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.outage", "--application", dsn, str(spool)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._samples: list[int] = []
        self._is_over = threading.Event()
        self._sampler = threading.Thread(target=self._sample)
        self._sampler.start()

    def __enter__(self) -> Application:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_over.set()
        self._sampler.join()
        if any(exc_info):
            self._process.kill()
        self._process.communicate()

    def log(self, rows: int) -> float:
        """Log flat out; return the seconds it took."""
        return self._tell(f"log {rows}")

    def flush(self, seconds: float) -> float:
        """Wait until everything is stored; return the seconds it took."""
        return self._tell(f"flush {seconds}")

    def rss(self) -> dict[str, float]:
        """Return least and most MB of memory since the last call."""
        samples, self._samples = self._samples, []
        samples = samples or [self._rss()]
        return {"least_mb": round(min(samples) / 1e3, 1), "most_mb": round(max(samples) / 1e3, 1)}

    def _tell(self, line: str) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line.encode() + b"\n")
        return float(self._process.stdout.readline())

    def _sample(self) -> None:
        while not self._is_over.wait(SAMPLE_SECONDS):
            self._samples.append(self._rss())

    def _rss(self) -> int:
        """Return the resident memory in kB."""
        command = ["ps", "-o", "rss=", "-p", str(self._process.pid)]
        return int(subprocess.run(command, capture_output=True, check=True).stdout)


def bytes_in(directory: Path) -> int:
    """Return the bytes of all segments in a spool."""
    return sum(path.stat().st_size for path in directory.rglob("0*") if path.is_file())


def outage(rows: int, directory: Path) -> dict[str, object]:
    """Stage the outage in *directory*; return the figures."""
    small = max(1_000, rows // 10)
    server = LoopbackClickHouse.start(directory / "clickhouse")
    spool = directory / "spool"
    try:
        with Application(server.dsn(DATABASE), spool) as app:
            app.log(10_000)
            app.flush(60)  # whatever is loaded once is loaded now
            app.rss()
            normal_seconds = app.log(small) + app.flush(600)
            before = app.rss()
            server.kill()
            outage_seconds = app.log(rows)
            time.sleep(2 * SAMPLE_SECONDS)
            during = app.rss()
            waiting = bytes_in(spool)
            server.restart()
            recovery_seconds = app.flush(3_600)
            after = app.rss()
            again_seconds = app.log(small) + app.flush(600)
        table = f"{DATABASE}.audit_logs"
        (counts,) = server.query(
            f"SELECT count() AS rows, uniqExact(resource_id) AS numbers FROM {table}"
        )
        writers = completeness(server, table)
        logged = 10_000 + small + rows + small
        verdict = Verdict(
            acknowledged=logged,
            stored=counts["numbers"],
            lost=max(logged - counts["numbers"], sum(int(its["gaps"]) for its in writers)),
            doubled=max(
                counts["rows"] - counts["numbers"], sum(int(its["repeats"]) for its in writers)
            ),
            unacknowledged=0,
            reported=0,
        )
    finally:
        server.stop()
    return {
        "rows": rows,
        "outage_seconds": round(outage_seconds, 1),
        "logged_per_second": round(rows / outage_seconds),
        "waiting_bytes": waiting,
        "recovery_seconds": round(recovery_seconds, 1),
        "recovered_per_second": round(rows / recovery_seconds),
        "normal_per_second": round(small / normal_seconds),
        "normal_again_per_second": round(small / again_seconds),
        "memory": {"before": before, "during": during, "after": after},
        "left": bytes_in(spool),
        **asdict(verdict),
    }


def main(given: Sequence[str] | None = None) -> int:
    """Stage the outage, print the figures; return 1 unless every row is stored once."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000, help="logged during the outage")
    parser.add_argument("--output", type=Path, help="write the figures to this file as JSON")
    parser.add_argument("--application", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args(given)
    if arguments.application:
        application(*arguments.application)
        return 0
    with tempfile.TemporaryDirectory(prefix="audit-handler-outage-") as directory:
        figures = outage(arguments.rows, Path(directory))
    for name, value in figures.items():
        print(f"{name:24} {value:,}" if isinstance(value, int | float) else f"{name:24} {value}")
    if arguments.output:
        results.write(arguments.output, figures)
    return int(bool(figures["lost"] or figures["doubled"] or figures["left"]))


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
