"""
``kill -9`` of applications, over and over, at random moments.

``make faults`` runs 1,000 kills; ``AUDIT_FAULT_TRIALS`` says how many hundredths of that.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.faults.staging import Judge, trials
from tests.support.loopback import LoopbackClickHouse
from tests.support.programs import World

pytestmark = pytest.mark.once

ROW = "kill -9 of the application at any instruction"

# One program that forks an application for each trial, so that a trial costs no start of an
# interpreter. The moment of the kill: after a random number of rows, and up to 30 ms later, which
# is when inserts, renames and removals are under way in the listener.
KILLS = """
import json, random, time
import clickhouse_connect  # once, instead of once in each application

chance = random.Random(SEED)
found = {".open": 0, ".ready": 0, ".sending": 0}

def application(first):
    number = first
    while True:
        for _ in range(chance.choice([1, 10, 400])):
            audit(number)
            number += 1
        if chance.random() < 0.5:
            handler.flush(0.05)

for trial in range(TRIALS):
    chance.seed(SEED * 1_000_000 + trial)
    for_reading, for_writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(for_writing, 1)
        application(trial * 1_000_000)
    os.close(for_writing)
    rows = int(3000 ** chance.random())
    patience = 0.03 * chance.random()
    with open(for_reading, "rb") as printed:
        lines = [printed.readline() for _ in range(rows)]
        time.sleep(patience)  # nothing is waited for: this is the moment of the kill
        os.kill(child, signal.SIGKILL)
        lines += printed.read().splitlines(keepends=True)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    os.write(1, b"".join(line for line in lines if line.endswith(b"\\n")))
    left = [path.suffix for path in SPOOL.rglob("0*.*")]
    for suffix in found:
        found[suffix] += suffix in left
    if trial % 10 == 9:
        # Lives until it has delivered what the ones before it left, which would pile up otherwise.
        child = os.fork()
        if child == 0:
            audit(trial * 1_000_000 + 999_999)
            handler.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
os.write(2, json.dumps(found).encode())
"""


def _kill_applications(world: World, kills: int) -> tuple[list[int], dict[str, int]]:
    """Run the program above; return what was acknowledged, and what the killed ones left behind."""
    constants = f"from pathlib import Path\nTRIALS, SEED = {kills}, 20261123\n"
    constants += f"SPOOL = Path({str(world.directory / 'spool')!r})\n"
    process = world.start(constants + KILLS)
    printed, complaints = process.communicate()
    assert process.returncode == 0, complaints.decode()[-3000:]
    found: dict[str, int] = json.loads(complaints.decode().splitlines()[-1])
    return [int(line) for line in printed.splitlines()], found


@pytest.mark.timeout(3_600)
def test_an_application_is_killed_at_any_moment(world: World, judge: Judge) -> None:
    kills = 10 * trials(5)
    acknowledged, found = _kill_applications(world, kills)
    world.finish()
    acknowledged += world.run("for n in range(-100, 0): audit(n)")

    assert found[".open"] + found[".ready"] + found[".sending"] >= kills // 2
    fault = f"over HTTP; left unsure {found['.sending']} times, sealed {found['.ready']} times"
    with world.server() as server:
        judge(ROW, fault, server, world.table, acknowledged, trials=kills, surplus=kills)


@pytest.mark.timeout(3_600)
def test_an_application_with_the_engine_inside_is_killed_at_any_moment(
    tmp_path: Path, database: str, judge: Judge
) -> None:
    """Killing the application kills the database too, in the middle of whatever it was doing."""
    world = World(tmp_path, f"chdb://{tmp_path}/db", database, None)
    kills = trials(5)
    acknowledged: list[int] = []
    chance = random.Random(20261123)  # the same moments in every run
    for kill in range(kills):
        # Each line is printed after a flush, so the engine is open, and busy with the next batch.
        process = world.start(
            f"""
            number = {kill} * 1_000_000
            while True:
                for _ in range(700):
                    audit(number)
                    number += 1
                handler.flush()
            """
        )
        assert process.stdout is not None
        acknowledged += [
            int(process.stdout.readline()) for _ in range(chance.randrange(700, 5_000))
        ]
        process.kill()
        acknowledged += [int(line) for line in process.stdout.read().split(b"\n")[:-1]]
        process.communicate()
    world.finish()
    acknowledged += world.run("for n in range(-100, 0): audit(n)")

    with LoopbackClickHouse.start(tmp_path / "db") as server:
        judge(ROW, "on chDB", server, world.table, acknowledged, trials=kills, surplus=kills)
