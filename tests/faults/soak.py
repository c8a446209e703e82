"""
The soak: applications log, and everything around them dies at random; then the verdict.

``make soak``, or ``python -m tests.faults.soak --seconds 60 --seed 7``. Several applications
(`tests.faults.soak_application`: threads, asyncio tasks, forks) share one spool directory and one
loopback server, and write to two tables. A conductor kills and restarts all of them, breaks
connections before, during and after an insert, lets inserts hang and run late, and answers for the
server. In the end all faults are cleared, each application is started once more, and each row that
was acknowledged must be stored once, in the table that it was meant for.

The seed fixes what is done and in which order; what it meets is up to the scheduler, so the same
seed need not find the same thing twice. Only processes that were started here are killed.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.faults import results
from tests.support.engines import completeness
from tests.support.loopback import LoopbackClickHouse, LoopbackError
from tests.support.verdicts import Verdict

__all__ = ["Outcome", "SoakVerdict", "main", "soak"]

APPLICATION = Path(__file__).with_name("soak_application.py")
DATABASES = ("soak_a", "soak_b")
# Seconds for what a killed application's children still do.
PATIENCE = 120.0
# How a generation of an application may end: told to (0), killed, or by SIGUSR1 that came before
# it listened.
ENDINGS = (0, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGUSR1)

# What the conductor does, and how often in comparison.
ACTIONS = {
    "kill -9 of an application": 12,
    "SIGTERM of an application": 3,
    "orderly end of an application": 3,
    "kill -9 of the server": 3,
    "reset before": 4,
    "reset during": 4,
    "closed before": 3,
    "executed, then reset": 8,
    "executed, then hanging": 4,
    "hanging, not executed": 3,
    "hanging, then executed late": 6,
    "503": 3,
    "503, but executed": 5,
    "252 too many parts": 3,
    "241 memory limit, but executed": 4,
    "reset of a look-up": 4,
    "faults cleared": 8,
}
FAULTS: dict[str, dict[str, Any]] = {
    "reset before": {"kind": "reset_before"},
    "reset during": {"kind": "reset_during"},
    "closed before": {"kind": "close_before"},
    "executed, then reset": {"kind": "execute_then_reset"},
    "executed, then hanging": {"kind": "execute_then_hang"},
    "hanging, not executed": {"kind": "hang"},
    "hanging, then executed late": {"kind": "hang", "execute": True},
    "503": {"kind": "http_status", "status": 503},
    "503, but executed": {"kind": "http_status", "status": 503, "execute": True},
    "252 too many parts": {"kind": "error", "code": 252},
    "241 memory limit, but executed": {"kind": "error", "code": 241, "execute": True},
    "reset of a look-up": {"kind": "reset_before", "match": "^SELECT"},
}
SIGNALS = {
    "kill -9 of an application": signal.SIGKILL,
    "SIGTERM of an application": signal.SIGTERM,
    "orderly end of an application": signal.SIGUSR1,
}


@dataclass(frozen=True, kw_only=True)
class SoakVerdict(Verdict):
    """What became of the rows of all applications."""

    foreign: int
    """Rows in a table that none of its applications can have logged."""
    writers: int
    left: int
    """Files that are still in the spool."""

    @property
    def is_whole(self) -> bool:
        """Whether each acknowledged row is stored once, in its place, and nothing else is."""
        return not (self.lost or self.doubled or self.foreign or self.left)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a soak did, and what it found."""

    seed: int
    chaos_seconds: float
    recovery_seconds: float
    applications: int
    generations: int
    """How often an application was started."""
    done: dict[str, int]
    """How often each fault was done."""
    verdict: SoakVerdict
    remarks: tuple[str, ...]
    """Examples of what is wrong, and what an application said that did not end as it should."""

    @property
    def is_good(self) -> bool:
        return self.verdict.is_whole and not self.remarks


class Application:
    """One application process after the other, in the same place."""

    def __init__(self, name: str, seed: int, dsn: str, directory: Path) -> None:
        self.name = name
        self.dsn = dsn
        self.generation = 0
        self.complaints: list[str] = []
        self.is_asked_to_end = False
        self._seed = seed
        self._directory = directory
        self._stdouts: list[Any] = []
        self.start()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def start(self) -> None:
        """Start the next generation."""
        self.generation += 1
        name = f"{self.name}.{self.generation}"
        self.is_asked_to_end = False
        self._stderr = self._directory / f"{name}.stderr"
        arguments = [name, f"{self._seed}:{name}", self.dsn]
        paths = [str(self._directory / "spool"), str(self._directory / f"{name}.journal")]
        with self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, str(APPLICATION), *arguments, *paths],
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        self._stdouts.append(self._process.stdout)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; the kinds that end it are waited for."""
        self._process.send_signal(number)
        if number == signal.SIGUSR1:
            self.is_asked_to_end = True
        else:
            self._process.wait()

    def note_end(self) -> None:
        """Keep what a generation that ended said, if it did not end as it was meant to."""
        said = self._stderr.read_text("utf-8", errors="replace")
        if self._process.returncode not in ENDINGS or "Traceback" in said:
            self.complaints.append(f"{self.name}.{self.generation}: {said[-2_000:]}")

    def end(self) -> None:
        """Kill it, and wait until the last child of every generation is gone."""
        if self.is_running:
            self.send(signal.SIGKILL)
        self.note_end()
        deadline = time.monotonic() + PATIENCE
        for stdout in self._stdouts:
            readable, _, _ = select.select([stdout], [], [], max(0, deadline - time.monotonic()))
            if not readable:
                raise TimeoutError(f"a child of {self.name} does not end")
            stdout.close()


class Conductor:
    """Does one thing after the other, at random, to applications and server."""

    def __init__(self, directory: Path, seed: int, applications: int) -> None:
        self.directory = directory
        self.done: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self.server = LoopbackClickHouse.start(directory / "clickhouse")
        self.applications = [
            Application(f"p{number}", seed, self.server.dsn(database), directory)
            for number in range(applications)
            for database in [DATABASES[number % len(DATABASES)]]
        ]

    def run(self, seconds: float) -> None:
        """Do harm for *seconds*."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(self._chance.choice([0.05, 0.2, 0.5]))
            self._restart_some()
            (action,) = self._chance.choices(list(ACTIONS), list(ACTIONS.values()))
            try:
                if self._do(action):
                    self.done[action] += 1
            except (LoopbackError, OSError):
                if self.server.is_running:
                    raise

    def recover(self, seconds: float) -> bool:
        """
        Clear all faults, let everything end, and start each application once more.

        Returns whether the spool was empty within *seconds*.
        """
        if not self.server.is_running:
            self.server.restart()
        self.server.clear_faults()
        for application in self.applications:
            self.done["kill -9 of an application"] += application.is_running
            application.end()
        recoveries = []
        for database in DATABASES:
            paths = [str(self.directory / "spool"), str(self.directory / f"{database}.journal")]
            names = [f"{database}.recovery", self.server.dsn(database)]
            command = [str(APPLICATION), "recover", *names, *paths, str(seconds)]
            with (self.directory / f"recovery-{database}.stderr").open("wb") as stderr:
                recoveries.append(subprocess.Popen([sys.executable, *command], stderr=stderr))
        return not any([recovery.wait() for recovery in recoveries])

    def stop(self) -> None:
        """Kill what still runs."""
        for application in self.applications:
            if application.is_running:
                application.send(signal.SIGKILL)
        self.server.stop()

    def _restart_some(self) -> None:
        for application in self.applications:
            if not application.is_running and self._chance.random() < 0.5:
                application.note_end()
                application.start()
        if not self.server.is_running and self._chance.random() < 0.5:
            self.server.restart()

    def _do(self, action: str) -> bool:
        """Do it, and return whether there was anything to do it to."""
        if action in SIGNALS:
            application = self._chance.choice(self.applications)
            if not application.is_running or application.is_asked_to_end:
                return False
            application.send(SIGNALS[action])
            return True
        times, skip = self._chance.choice([1, 1, 3]), self._chance.choice([0, 0, 2])
        if not self.server.is_running:
            return False
        if action == "faults cleared":
            self.server.clear_faults()
        elif action == "kill -9 of the server":
            self.server.kill()
        else:
            self.server.fault(**{"times": times, "skip": skip, **FAULTS[action]})
        return True


def judge(conductor: Conductor) -> tuple[SoakVerdict, list[str]]:
    """Return the verdict, and examples of what is wrong."""
    counts: Counter[str] = Counter()
    examples: list[str] = []
    noted = _journals(conductor.directory, examples)
    for number, database in enumerate(DATABASES):
        table = f"{database}.audit_logs"
        names = {a.name for a in conductor.applications[number :: len(DATABASES)]} | {database}
        rows = conductor.server.query(
            "SELECT resource_type AS lane, groupArray(toUInt64(resource_id)) AS numbers "
            f"FROM {table} GROUP BY lane"
        )
        stored = {row["lane"]: Counter(map(int, row["numbers"])) for row in rows}
        ours = {lane for lane in noted if lane.split(".")[0] in names}
        for lane in {*stored, *ours}:
            numbers = stored.get(lane, Counter())
            last = noted[lane] if lane in ours else 0
            missing = {*range(1, last + 1)} - {*numbers}
            # The journal is written last, so a killed lane may have stored one row more than it
            # could note.
            is_ours = lane.split(".")[0] in names
            alien = {n for n in numbers if not is_ours or not 1 <= n <= last + 1}
            twice = {n for n, times in numbers.items() if times > 1}
            counts["acknowledged"] += last
            counts["stored"] += last - len(missing)
            counts["doubled"] += numbers.total() - len(numbers)
            counts["unacknowledged"] += is_ours and last + 1 in numbers
            for what, some in (("lost", missing), ("twice", twice), ("foreign", alien)):
                counts[what] += len(some)
                if some:
                    examples.append(f"{what} in {lane} (1 to {last}): {sorted(some)[:20]}")
        writers = completeness(conductor.server, table)
        counts["writers"] += len(writers)
        counts["gaps"] += sum(int(writer["gaps"]) for writer in writers)
        counts["repeats"] += sum(int(writer["repeats"]) for writer in writers)
    left = [path for path in (conductor.directory / "spool").rglob("*") if path.is_file()]
    examples += [f"left: {path.relative_to(conductor.directory)}" for path in left[:10]]
    verdict = SoakVerdict(
        acknowledged=counts["acknowledged"],
        stored=counts["stored"],
        lost=max(counts["lost"], counts["gaps"]),
        doubled=max(counts["doubled"], counts["repeats"]),
        unacknowledged=counts["unacknowledged"],
        reported=0,
        foreign=counts["foreign"],
        writers=counts["writers"],
        left=len(left),
    )
    return verdict, examples


def _journals(directory: Path, examples: list[str]) -> Counter[str]:
    """Return the last number that each lane noted; it noted every one before it."""
    noted: Counter[str] = Counter()
    for path in directory.glob("*.journal"):
        for line in path.read_bytes().split(b"\n")[:-1]:
            lane, number = line.decode().split()
            noted[lane] += 1
            if int(number) != noted[lane]:
                examples.append(f"the journal of {lane} jumps to {number}")
    return noted


def soak(seconds: float, seed: int, applications: int, directory: Path) -> Outcome:
    """Do harm for *seconds* in *directory*, recover, and return what was found."""
    conductor = Conductor(directory, seed, applications)
    try:
        conductor.run(seconds)
        began = time.monotonic()
        is_recovered = conductor.recover(60 + 4 * seconds)
        recovered = time.monotonic() - began
        verdict, remarks = judge(conductor)
    finally:
        conductor.stop()
    if not is_recovered:
        remarks.append("the recovery did not empty the spool")
    for application in conductor.applications:
        remarks += application.complaints
    return Outcome(
        seed=seed,
        chaos_seconds=seconds,
        recovery_seconds=round(recovered, 1),
        applications=applications,
        generations=sum(application.generation for application in conductor.applications),
        done=dict(conductor.done.most_common()),
        verdict=verdict,
        remarks=tuple(remarks),
    )


def main(given: Sequence[str] | None = None) -> int:
    """Run a soak, print what it did and found; return 1 unless everything is whole."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="of random faults")
    parser.add_argument("--seed", type=int, help="by default a new one")
    parser.add_argument("--applications", type=int, default=4)
    parser.add_argument("--output", type=Path, help="write the figures to this file as JSON")
    arguments = parser.parse_args(given)
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}: {arguments.seconds:g} s of faults, then recovery", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="audit-handler-soak-"))
    outcome: Outcome | None = None
    try:
        outcome = soak(arguments.seconds, seed, arguments.applications, directory)
    finally:
        if outcome is not None and outcome.is_good:
            shutil.rmtree(directory)
        else:
            print(f"everything is kept in {directory}", flush=True)
    for action, times in outcome.done.items():
        print(f"{times:8,} x {action}")
    for name, value in asdict(outcome.verdict).items():
        print(f"{value:8,} {name}")
    for remark in outcome.remarks:
        print(remark)
    print(f"seed {seed}: {'whole' if outcome.is_good else 'NOT WHOLE'}")
    if arguments.output:
        results.write(arguments.output, {**asdict(outcome), "is_good": outcome.is_good})
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
