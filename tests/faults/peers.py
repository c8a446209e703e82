"""
The same faults for audit-handler and for other ways from ``logging`` to a server: the OpenTelemetry
SDK's batch processor with its OTLP/HTTP exporter, and python-logstash-async, with its queue in
memory and with its SQLite database.

``python -m tests.faults.peers``. Every library has its defaults, is set up as its documentation
says, and meets a loopback receiver of its own kind (`tests.faults.receiver`; for audit-handler the
loopback ClickHouse). After each fault the receiver is well again, the application ends in order
where it still lives, and is started once more with the same files, as a service would be. Then the
records whose logger calls returned are compared with what the receiver holds.

The others promise less: they are made for telemetry, where a lost record is a smaller evil than a
logger call that waits for a disk. The figures say what to expect when they carry an audit trail.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from tests.faults import results
from tests.support.loopback import LoopbackClickHouse
from tests.support.verdicts import Verdict

__all__ = ["FAULTS", "Run", "main"]

HERE = Path(__file__).parent
# Seconds that the end of a program may take before it is killed, as systemd does by default.
STOP_SECONDS = 90.0
# Seconds after which a library has met a fault often enough.
PATIENCE = 30.0


class Receiver(Protocol):
    """Where the records go."""

    address: str

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def fault(self, kind: str, times: int) -> None: ...

    def clear(self) -> None: ...

    def met(self) -> int:
        """Return how many batches have met the fault that was armed last."""

    def stored(self) -> Counter[int]: ...


class Collector:
    """`tests.faults.receiver` in a process."""

    def __init__(self, kind: str, directory: Path) -> None:
        self._kind = kind
        self._file = directory / "received"
        self._file.touch()
        self._port = "0"
        self.start()
        self.address = (
            f"http://127.0.0.1:{self._port}/v1/logs"
            if kind == "otlp"
            else f"127.0.0.1:{self._port}"
        )

    def start(self) -> None:
        command = [sys.executable, str(HERE / "receiver.py"), self._kind, self._port]
        self._process = subprocess.Popen(
            [*command, str(self._file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        assert self._process.stdout is not None
        self._port = self._process.stdout.readline().decode().strip()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def fault(self, kind: str, times: int) -> None:
        self._ask(f"{kind} {times}")

    def clear(self) -> None:
        self._ask("clear 0")

    def met(self) -> int:
        return int(self._ask("met 0"))

    def stored(self) -> Counter[int]:
        return Counter(map(int, self._file.read_bytes().split()))

    def _ask(self, line: str) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line.encode() + b"\n")
        answer: bytes = self._process.stdout.readline()
        return answer


LOOPBACK_FAULTS: dict[str, dict[str, Any]] = {
    "reset_before": {"kind": "reset_during"},
    "reset_after": {"kind": "execute_then_reset"},
    "unavailable": {"kind": "http_status", "status": 503},
    "hang": {"kind": "execute_then_hang"},
}


class ClickHouse:
    """The loopback ClickHouse."""

    def __init__(self, directory: Path) -> None:
        self._server = LoopbackClickHouse.start(directory / "clickhouse")
        self.address = self._server.dsn("peers")

    def start(self) -> None:
        self._server.restart()

    def kill(self) -> None:
        self._server.kill()

    def fault(self, kind: str, times: int) -> None:
        self._server.forget_requests()
        self._server.fault(**LOOPBACK_FAULTS[kind], times=times)

    def clear(self) -> None:
        self._server.clear_faults()

    def met(self) -> int:
        return sum(request["fault"] is not None for request in self._server.requests())

    def stored(self) -> Counter[int]:
        rows = self._server.query("SELECT toUInt64(resource_id) AS n FROM peers.audit_logs")
        return Counter(int(row["n"]) for row in rows)


@dataclass(frozen=True, kw_only=True)
class Library:
    """One of those that are compared."""

    name: str
    package: str
    receiver: Callable[[Path], Receiver]

    @property
    def version(self) -> str:
        return version(self.package)


LIBRARIES = (
    Library(name="audit-handler", package="audit-handler", receiver=ClickHouse),
    Library(
        name="OpenTelemetry SDK",
        package="opentelemetry-sdk",
        receiver=lambda directory: Collector("otlp", directory),
    ),
    Library(
        name="python-logstash-async",
        package="python-logstash-async",
        receiver=lambda directory: Collector("logstash", directory),
    ),
    Library(
        name="python-logstash-async, with database",
        package="python-logstash-async",
        receiver=lambda directory: Collector("logstash", directory),
    ),
)


class Run:
    """One library and one fault: an application, its receiver, and what each of them has."""

    def __init__(self, library: Library, directory: Path) -> None:
        self.receiver = library.receiver(directory)
        self._library = library
        self._directory = directory
        self._next = 0
        self.start()

    def start(self) -> None:
        """Start the application."""
        command = [sys.executable, str(HERE / "peers_application.py"), self._library.name]
        paths = [str(self._directory), str(self._directory / "journal")]
        with (self._directory / "stderr").open("ab") as stderr:
            self._process = subprocess.Popen(
                [*command, self.receiver.address, *paths],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                bufsize=0,
            )

    def log(self, count: int) -> None:
        """Log *count* records flat out, and wait until the calls have returned."""
        self._tell(f"log {self._next} {count}")
        self._next += count

    def log_for(self, seconds: int) -> None:
        """Log 50 records a second."""
        for _ in range(seconds):
            self.log(50)
            time.sleep(1)

    def fork(self, count: int, ending: str) -> None:
        """Let a forked child log *count* records, and wait for its end."""
        self._tell(f"fork {self._next} {count} {ending}")
        self._next += count

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, and wait for the end."""
        self._process.send_signal(number)
        self._process.communicate()

    def end(self) -> None:
        """Let the program end by itself."""
        try:
            self._process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)

    def finish(self) -> None:
        """End what runs, start once more, log a little, end in order."""
        if self._process.poll() is None:
            self.end()
        self.start()
        self.log(10)
        self.end()

    def stop(self) -> None:
        """Kill whatever is left."""
        if self._process.poll() is None:
            self.signal(signal.SIGKILL)
        self.receiver.kill()

    def verdict(self) -> tuple[Verdict, bool]:
        """Return what became of the records, and whether anything was said on stderr."""
        asked = {int(line) for line in (self._directory / "journal").read_bytes().split()}
        stored = self.receiver.stored()
        verdict = Verdict(
            acknowledged=len(asked),
            stored=len(asked & stored.keys()),
            lost=len(asked - stored.keys()),
            doubled=stored.total() - len(stored),
            unacknowledged=len(stored.keys() - asked),
            reported=0,
        )
        return verdict, bool((self._directory / "stderr").stat().st_size)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line.encode() + b"\n")
        readable, _, _ = select.select([self._process.stdout], [], [], STOP_SECONDS)
        if not readable or self._process.stdout.readline() != b"ok\n":
            raise RuntimeError(f"{self._library.name} did not do {line!r}")


# The faults


def plain_end(run: Run) -> None:
    run.log(1_000)
    run.end()


def down(run: Run) -> None:
    run.log_for(3)
    run.receiver.kill()
    run.log_for(20)
    run.receiver.start()
    run.log_for(3)


def receiver_killed(run: Run) -> None:
    for _ in range(3):
        run.log_for(3)
        run.receiver.kill()
        run.log_for(1)
        run.receiver.start()
    run.log_for(3)


def end_while_down(run: Run) -> None:
    run.log_for(2)
    run.receiver.kill()
    run.log(1_000)
    run.end()
    run.receiver.start()


def _faulted(kind: str, *, times: int, seconds: int = 0) -> Callable[[Run], None]:
    """
    Arm the fault for *times* batches (-1: all), and let *seconds* pass at least.

    Not every library sends so many batches in a while: one must have met it, whatever it takes.
    """

    def fault(run: Run) -> None:
        run.log_for(2)
        run.receiver.fault(kind, times)
        run.log_for(seconds)
        began = time.monotonic()
        while (met := run.receiver.met()) < max(1, times):
            waited = time.monotonic() - began
            if waited > STOP_SECONDS:
                raise RuntimeError(f"no batch has met {kind}")
            if met and waited > PATIENCE:
                break
            run.log_for(1)
        run.receiver.clear()
        run.log_for(3)

    return fault


def _signalled(number: signal.Signals) -> Callable[[Run], None]:
    def fault(run: Run) -> None:
        run.log_for(3)
        run.log(1_000)
        run.signal(number)

    return fault


def _forked(ending: str) -> Callable[[Run], None]:
    def fault(run: Run) -> None:
        run.log(500)
        run.fork(500, ending)
        run.log(500)

    return fault


def explosion(run: Run) -> None:
    run.log_for(1)
    run.receiver.kill()
    run.log(10_000)
    time.sleep(3)
    run.receiver.start()
    run.log_for(3)


FAULTS: dict[str, Callable[[Run], None]] = {
    "none: the program logs 1,000 records and ends": plain_end,
    "receiver down for 20 s, then back": down,
    "receiver killed three times, back after 1 s": receiver_killed,
    "receiver answers 503 for 15 s": _faulted("unavailable", times=-1, seconds=15),
    "connection reset up to 3 times before the batch was taken": _faulted("reset_before", times=3),
    "connection reset up to 3 times after the batch was taken": _faulted("reset_after", times=3),
    "a batch is taken, its answer late by 15 s": _faulted("hang", times=1, seconds=17),
    "10,000 records at once while the receiver is down": explosion,
    "the program ends while the receiver is down": end_while_down,
    "kill -9 of the application": _signalled(signal.SIGKILL),
    "SIGTERM of the application, Python's default": _signalled(signal.SIGTERM),
    "fork, the child ends by sys.exit": _forked("exit"),
    "fork, the child ends by os._exit": _forked("_exit"),
}
# TCP has no such answer.
NOT_APPLICABLE = {"receiver answers 503 for 15 s": "python-logstash-async"}


def measure(library: Library, fault: str) -> dict[str, Any] | None:
    """Return the counts for one fault, or None where there is no such fault."""
    if library.package == NOT_APPLICABLE.get(fault):
        return None
    with tempfile.TemporaryDirectory(prefix="audit-handler-peers-") as directory:
        run = Run(library, Path(directory))
        try:
            FAULTS[fault](run)
            run.finish()
            verdict, has_spoken = run.verdict()
        finally:
            run.stop()
    return {"library": library.name, "fault": fault, **asdict(verdict), "has_spoken": has_spoken}


def main(given: Sequence[str] | None = None) -> int:
    """Compare, and print a table; return 1 unless audit-handler lost and doubled nothing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("-k", default="", help="only the faults whose name contains this")
    parser.add_argument("--output", type=Path, help="write the figures to this file as JSON")
    arguments = parser.parse_args(given)
    began = time.monotonic()
    libraries = [{"name": its.name, "version": its.version} for its in LIBRARIES]
    measured: list[dict[str, Any]] = []
    for fault in FAULTS:
        if arguments.k not in fault:
            continue
        print(fault, flush=True)
        with ThreadPoolExecutor(len(LIBRARIES)) as threads:
            for entry in threads.map(measure, LIBRARIES, [fault] * len(LIBRARIES)):
                if entry:
                    measured.append(entry)
                    print(
                        f"  {entry['library']:38}{entry['acknowledged']:8,} acknowledged"
                        f"{entry['stored']:8,} stored{entry['lost']:8,} lost"
                        f"{entry['doubled']:8,} doubled",
                        flush=True,
                    )
    if arguments.output:
        seconds = round(time.monotonic() - began, 1)
        content = {"seconds": seconds, "libraries": libraries, "faults": measured}
        results.write(arguments.output, content)
    ours = [entry for entry in measured if entry["library"] == LIBRARIES[0].name]
    return int(any(entry["lost"] or entry["doubled"] for entry in ours))


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
