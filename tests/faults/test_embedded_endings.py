"""
A process with the embedded engine ends: at every phase of an insert, in every way, with its own
exit code and without a word of the engine. Each acknowledged row is stored once.
"""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import ending_application
from tests.faults.ending_application import PHASES, WAYS
from tests.faults.staging import Judge, trials
from tests.support.programs import World

ENDINGS = "embedded chDB, and the end of its process"

# `make faults` has a hundred trials.
pytestmark = [pytest.mark.once, pytest.mark.timeout(1_800)]

# What is not in here ends with 0.
EXIT_CODES = {
    "sys.exit": {3},
    "an exception": {1},
    "SIGTERM": {-signal.SIGTERM},
    "SIGTERM, our handler": {-signal.SIGTERM},
    "SIGTERM, a handler that exits": {3},
    # Python forgets the interruption, and ends with 1, if the end still imports modules.
    "Ctrl-C": {1, -signal.SIGINT},
    # Python reports an interruption of an exit hook, and ends with its own code. Before and after
    # the hooks the signal ends the process.
    "Ctrl-C while it ends": {0, -signal.SIGINT},
}
ENGINE = re.compile(
    r"DB::|Code: \d+|Stack trace|ThreadPool|terminate called|Fatal|libc\+\+|chdb\.so"
)
NUMBERS_A_TRIAL = 10_000
# After so many trials, what they left is delivered: a backlog of one-row batches takes long.
TRIALS_A_FINISH = 28
FINISHES = 10
BATCHES = (1, 10_000)


def ending(trial: int) -> list[str]:
    """
    Return the arguments of `ending_application` for *trial*.

    The first trials have each way and each phase, one sweep has each pair, and two sweeps have each
    pair with either size of batches. Only the delay is random.
    """
    lap, number = divmod(trial, len(WAYS))
    sweep = lap // len(PHASES)
    way, phase = list(WAYS)[number], list(PHASES)[(number + lap) % len(PHASES)]
    batch = BATCHES[(lap + number // len(PHASES) + sweep) % len(BATCHES)]
    chance = random.Random(trial)
    delay = chance.choice([0.0, 0.002, 0.02, 0.2]) * chance.random()
    return [way, phase, str(delay), str(batch), str(trial * NUMBERS_A_TRIAL)]


def finish(world: World) -> None:
    """Deliver what the trials left; on a busy machine that takes longer than one end may."""
    for _ in range(FINISHES):
        world.finish()
        if not [path for path in (world.directory / "spool").rglob("*.*") if path.is_file()]:
            return


def test_no_end_of_a_process_is_one_of_the_engine(
    tmp_path: Path, database: str, judge: Judge
) -> None:
    world = World(tmp_path, f"chdb://{tmp_path}/db", database, None)
    acknowledged: list[int] = []
    count = trials(len(WAYS))
    for trial in range(count):
        arguments = ending(trial)
        process = subprocess.run(
            [sys.executable, ending_application.__file__, *arguments],
            env=world.environment,
            capture_output=True,
            timeout=100,
            check=False,
        )
        said = process.stderr.decode()
        expected = EXIT_CODES.get(arguments[0], {0})
        assert process.returncode in expected, (arguments, process.returncode, said)
        assert not ENGINE.search(said), (arguments, said)
        acknowledged += map(int, process.stdout.split())
        if trial % TRIALS_A_FINISH == TRIALS_A_FINISH - 1:
            finish(world)
    finish(world)

    with world.server() as server:
        judge(
            ENDINGS,
            "ends at any moment, in any way",
            server,
            world.table,
            acknowledged,
            trials=count,
            # A signal may come between the return of a call and its line.
            surplus=4 * count,
        )
