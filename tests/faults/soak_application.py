"""
One application of the soak: threads, asyncio tasks and forks that log without rest, until it is
killed.

Each row belongs to a *lane*, one thread, task or forked child, and is numbered in it: 1, 2, 3, ...
When a logger call has returned, lane and number are written to the journal, a file that the handler
knows nothing of. What the journal holds was acknowledged; the only row that a killed lane may have
stored besides is the next one.

Nothing is written to stdout. Whoever holds its other end learns from EOF that the last child, too,
is gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from audit_handler import AuditHandler

FORKS_AT_ONCE = 3
SEGMENTS = (".open", ".ready", ".sending")


class Lane:
    """One sequence of audits, logged by one thread, task or child."""

    def __init__(self, name: str, journal: int) -> None:
        self.name = name
        self._journal = journal
        self._number = 0
        self._log = logging.getLogger("soak")

    def audit(self) -> None:
        """Log the next row, and note that the call has returned."""
        self._number += 1
        self._log.info(
            "n",
            extra={
                "action": "COUNT",
                "resource_type": self.name,
                "resource_id": str(self._number),
                "metadata": {"pad": "x" * (self._number % 200)},
            },
        )
        os.write(self._journal, b"%b %d\n" % (self.name.encode(), self._number))


class SoakApplication:
    """Lanes of every kind, and the moments at which they log, drawn from a seed."""

    def __init__(self, name: str, seed: str, dsn: str, spool: Path, journal: Path) -> None:
        self.name = name
        self._chance = random.Random(seed)
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._is_ending = False
        self.handler = make_handler(dsn, spool, self._chance)

    def run(self) -> None:
        """Log until told to end by SIGUSR1; mostly it ends by ``kill -9`` instead."""
        signal.signal(signal.SIGUSR1, self._end)
        if self._chance.random() < 0.7:  # the others import it while their children are forked
            import clickhouse_connect  # noqa: F401
        threads = [
            threading.Thread(target=self._thread, args=self._lane(f"t{number}"))
            for number in range(self._chance.randint(1, 3))
        ]
        threads.append(threading.Thread(target=asyncio.run, args=(self._tasks(),)))
        for thread in threads:
            thread.start()
        self._fork_now_and_then()
        for thread in threads:
            thread.join()

    def _end(self, *_: object) -> None:
        self._is_ending = True

    def _lane(self, name: str) -> tuple[Lane, random.Random]:
        lane = Lane(f"{self.name}.{name}", self._journal)
        return lane, random.Random(self._chance.random())

    def _pauses(self, chance: random.Random) -> Iterator[tuple[int, float]]:
        """Yield how many rows come now, and how long the lane rests afterwards."""
        while not self._is_ending:
            yield chance.choice([1, 3, 10, 50, 200]), chance.choice([0.0, 0.01, 0.05, 0.2])

    def _thread(self, lane: Lane, chance: random.Random) -> None:
        for rows, seconds in self._pauses(chance):
            for _ in range(rows):
                lane.audit()
            time.sleep(seconds)

    async def _tasks(self) -> None:
        lanes = [self._lane(f"a{number}") for number in range(3)]
        await asyncio.gather(*(self._task(*lane) for lane in lanes))

    async def _task(self, lane: Lane, chance: random.Random) -> None:
        for rows, seconds in self._pauses(chance):
            for _ in range(rows // 10 + 1):
                lane.audit()
            await asyncio.sleep(seconds)

    def _fork_now_and_then(self) -> None:
        number, children = 0, set[int]()
        while not self._is_ending:
            time.sleep(0.4 * self._chance.random())
            children -= {child for child in children if os.waitpid(child, os.WNOHANG)[0]}
            if len(children) < FORKS_AT_ONCE:
                number += 1
                lane, chance = self._lane(f"f{number}")
                if (child := os.fork()) == 0:
                    self._child(lane, chance)
                children.add(child)
        for child in children:
            os.waitpid(child, 0)

    def _child(self, lane: Lane, chance: random.Random) -> None:
        """Log some rows, and end in one of the ways in which a child ends. Never returns."""
        status = 1
        try:
            for _ in range(chance.choice([1, 20, 300])):
                lane.audit()
            ending = chance.choice(["_exit", "close", "kill", "fork"])
            if ending == "close":
                self.handler.close(chance.choice([0.0, 0.1, 2.0]))
            elif ending == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            elif ending == "fork" and os.fork() == 0:
                grandchild = Lane(f"{lane.name}.g", self._journal)
                for _ in range(chance.choice([1, 20])):
                    grandchild.audit()
            status = 0
        finally:
            if status:
                sys.excepthook(*sys.exc_info())
            os._exit(status)


def make_handler(dsn: str, spool: Path, chance: random.Random) -> AuditHandler:
    """Return a handler that raises when it cannot take a row, so that a return means: taken."""
    handler = AuditHandler(
        dsn,
        spool_dir=spool,
        create_table=True,
        on_full="raise",
        batch_size=chance.choice([50, 500, 5_000]),
        flush_interval_ms=chance.choice([10, 200]),
        fsync=chance.choice(["never", "batch", "batch", "always"]),
        retry_min_ms=5,
        retry_max_ms=200,
        shutdown_timeout=chance.choice([0.1, 3.0]),
        client_options={"send_receive_timeout": chance.choice([1, 5])},
    )
    log = logging.getLogger("soak")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    # What the package says goes to stderr, for whoever looks into a failure.
    logging.getLogger("audit_handler").addHandler(logging.StreamHandler())
    return handler


def recover(name: str, dsn: str, spool: Path, journal: Path, seconds: float) -> bool:
    """Do what the next start of the application does, until the spool is empty; go on writing."""
    handler = make_handler(dsn, spool, random.Random(0))
    Lane(name, os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)).audit()
    # Only its own target's: the other one's recovery may be at work on the same spool.
    waiting = spool / handler.settings.target.directory_name
    deadline = time.monotonic() + seconds
    # Not `rglob`: it raises if a directory goes away meanwhile.
    while any(name.endswith(SEGMENTS) for _, _, names in os.walk(waiting) for name in names):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return handler.close()


if __name__ == "__main__":
    if sys.argv[1] == "recover":
        _, _, its_name, its_dsn, its_spool, its_journal, its_seconds = sys.argv
        paths = Path(its_spool), Path(its_journal)
        sys.exit(0 if recover(its_name, its_dsn, *paths, float(its_seconds)) else 1)
    its_name, its_seed, its_dsn, its_spool, its_journal = sys.argv[1:]
    SoakApplication(its_name, its_seed, its_dsn, Path(its_spool), Path(its_journal)).run()
