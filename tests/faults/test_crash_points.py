"""
The crash search: at every step that a process takes on its disk or towards ClickHouse, in every
scenario, it is killed, loses its power, is refused by the disk, or is overtaken by another process.
After each of them a new process recovers, and everything is whole.

Run with ``-s`` for the counts, with ``AUDIT_CRASH_DEPTH=3`` for a crash in the recovery from a
crash in the recovery, and power losses as deep: minutes.
"""

from __future__ import annotations

import logging
import os
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.faults.disk import LOSSES, Crash, Fault, Process, SimulatedFiles, random_loss
from tests.faults.table import Table
from tests.faults.world import TARGET, App, World

pytestmark = pytest.mark.once

SEED = 20261123  # of the losses that are decided at random; printed with each count
# Crashes in a row at most: the second one hits the recovery from the first.
DEPTH = int(os.environ.get("AUDIT_CRASH_DEPTH", "2"))
IS_FULL = "AUDIT_CRASH_DEPTH" in os.environ
FSYNC = ("never", "batch", "always")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep thousands of log lines about rejected rows out of the report."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@dataclass(frozen=True)
class Scenario:
    """A script of one process, perhaps after what earlier ones left behind."""

    run: Callable[[App], None]
    table: dict[str, Any] = field(default_factory=dict)
    script: tuple[str, ...] = ()
    """How its inserts end."""
    look_ups: tuple[str, ...] = ()
    """How its look-ups end."""
    options: dict[str, Any] = field(default_factory=dict)
    before: Callable[[World, dict[str, Any]], None] = lambda _world, _options: None
    """Leaves something behind for the process to adopt."""


def append(app: App) -> None:
    app.put(1, 2)


def seal_by_rows(app: App) -> None:
    app.put(1, 2, 3, 4, 5, 6, 7)


def seal_by_bytes(app: App) -> None:
    app.put(1, 2, 3, 4, 5, size=100)


def alternate_months(app: App) -> None:
    """The rows of one segment belong to several partitions."""
    app.put(1, 2, month="2026-11")
    app.put(3, month="2026-12")
    app.put(4, month="2026-11")
    app.put(5, 6, month="2027-01")
    app.deliver()


def deliver(app: App) -> None:
    app.put(1, 2, 3)
    app.deliver()


def deliver_and_go_on(app: App) -> None:
    app.put(1, 2, 3, 4)
    app.deliver(1)
    app.put(5)
    app.deliver()
    app.put(6)


def put_ten(app: App) -> None:
    app.put(*range(1, 11))
    app.deliver()


def put_and_close(app: App) -> None:
    app.put(1, 2, 3, 4)
    app.close()


def deliver_and_close(app: App) -> None:
    app.put(1, 2)
    app.deliver()
    app.close()


def put_and_leave(app: App) -> None:
    app.put(1, 2, 3, 4)
    app.leave()


def fail_and_leave(app: App) -> None:
    app.put(1, 2, 3, 4)
    app.try_to_deliver()
    app.leave()


def adopt_and_leave(app: App) -> None:
    app.deliver(0)
    app.put(101)
    app.leave()


def adopt_and_close(app: App) -> None:
    app.put(101)
    app.close()


def flush(app: App) -> None:
    app.put(1, 2)
    app.spool.flush(0.0)
    app.deliver()
    app.spool.flush(0.0)


def kill(
    world: World,
    options: dict[str, Any],
    script: Callable[[App], None],
    what: str,
    count: int,
    done: int = 0,
) -> None:
    """Play a script up to the *count*-th step of the kind *what*, and kill the process there."""
    SimulatedFiles(world.disk, Process()).make_directory(TARGET)
    rehearsal = App(world.clone(), Process(), **options)
    script(rehearsal)
    kinds = [kind for kind, _ in rehearsal.process.steps]
    step = [number for number, kind in enumerate(kinds) if kind == what][count - 1]
    with pytest.raises(Crash):
        script(App(world, Process(Fault(step, "kill", done)), **options))


def _attempt(app: App) -> None:
    app.put(*range(1, 8))
    segment = app.spool.get(0.0)
    assert segment is not None
    app.spool.taken.attempting(segment)
    app.put(8)


def _deliver_eight(app: App) -> None:
    app.put(*range(1, 9))
    app.deliver()


def _dead(world: World, options: dict[str, Any]) -> None:
    """It had one segment attempted, one sealed, and an open one with a torn line."""
    kill(world, options, _attempt, "write", 8, 20)


def _dead_stored(world: World, options: dict[str, Any]) -> None:
    """The server has the attempted segment; the process never heard of it."""
    kill(world, options, _deliver_eight, "insert", 1, -1)


def _dead_early(world: World, options: dict[str, Any]) -> None:
    """An empty segment."""
    kill(world, options, append, "create", 1, -1)


def _two_dead(world: World, options: dict[str, Any]) -> None:
    _dead(world, options)
    kill(world, options, lambda app: app.put(21, 22, 23, 24), "write", 4, -1)


def _dead_in_a_split(world: World, options: dict[str, Any]) -> None:
    """Its helper file is still there."""
    kill(world, options, _deliver_eight, "insert", 3)


TEN = {"batch_size": 10}
SCENARIOS = {
    "append": Scenario(append),
    "seal by rows": Scenario(seal_by_rows),
    "seal by bytes": Scenario(seal_by_bytes, options={"batch_bytes": 600}),
    "alternate months": Scenario(alternate_months),
    "deliver one": Scenario(deliver),
    "deliver several": Scenario(deliver_and_go_on),
    "deliver, tokens kept": Scenario(deliver_and_go_on, {"window": 100}),
    "flush": Scenario(flush),
    "timeout, stored": Scenario(deliver, script=("timeout, stored",)),
    "timeout, not stored": Scenario(deliver, script=("timeout, not stored",)),
    "timeout, stored late": Scenario(deliver, {"window": 100}, script=("timeout, stored late",)),
    "timeouts of all kinds": Scenario(
        deliver_and_go_on,
        {"window": 1},
        script=("refused", "timeout, not stored", "timeout, stored", "no table", "timeout, stored"),
    ),
    "timeout, stored, without look-up": Scenario(
        deliver, {"window": 100, "can_look_up": False}, script=("timeout, stored",)
    ),
    "a view threw": Scenario(deliver, script=("a view threw, stored",)),
    "reject, named": Scenario(deliver, {"bad": [2]}),
    "reject, not named": Scenario(deliver, {"bad": [2], "names_row": False}),
    "reject the first and the last": Scenario(deliver, {"bad": [1, 3]}),
    "reject all": Scenario(deliver, {"bad": [1, 2, 3], "names_row": False}),
    "stored without a column": Scenario(deliver, {"bad_columns": [2]}),
    "stored without a column, timeout": Scenario(
        deliver,
        {"bad_columns": [2]},
        script=("ok", "ok", "ok", "timeout, stored", "ok", "refused"),
    ),
    "a view threw, look-up failed": Scenario(
        deliver, script=("a view threw, stored",), look_ups=("refused", "refused")
    ),
    "timeout, look-up failed": Scenario(
        deliver, script=("timeout, stored",), look_ups=("refused", "refused")
    ),
    "split with timeouts": Scenario(
        deliver,
        {"bad": [2]},
        script=("ok", "timeout, stored", "timeout, stored", "timeout, not stored"),
    ),
    "split a large one": Scenario(
        put_ten,
        {"bad": [4, 5, 9], "names_row": False},
        options=TEN,
    ),
    "adopt": Scenario(adopt_and_close, before=_dead),
    "adopt a stored one": Scenario(adopt_and_close, before=_dead_stored),
    "adopt a stored one, bad rows": Scenario(
        adopt_and_close, {"bad": [5, 8, 101]}, before=_dead_stored
    ),
    "adopt an empty one": Scenario(adopt_and_close, before=_dead_early),
    "adopt two": Scenario(adopt_and_close, before=_two_dead),
    "adopt, timeout": Scenario(
        adopt_and_close, script=("timeout, stored", "timeout, not stored"), before=_two_dead
    ),
    "adopt from a split": Scenario(adopt_and_close, {"bad": [2]}, before=_dead_in_a_split),
    "adopt and leave": Scenario(adopt_and_leave, before=_two_dead),
    "close with all delivered": Scenario(deliver_and_close),
    "close delivers": Scenario(put_and_close),
    "close with leftovers": Scenario(put_and_leave),
    "close after failures": Scenario(fail_and_leave, script=("timeout, stored", "timeout, stored")),
}
# Half of the time of all kills: a second crash in their recoveries is for `make faults`.
LARGE = (
    "adopt a stored one, bad rows",
    "adopt from a split",
    "reject all",
    "split a large one",
    "split with timeouts",
)
TWICE = ("append", "deliver one", "close delivers")
# Where a power loss in the recovery is tried too; the others are for a deeper search.
STEPS_OF_START = 1
# The mkdir with which a process begins, outside of what is tested here.

every_scenario = pytest.mark.parametrize("name", SCENARIOS)
every_fsync = pytest.mark.parametrize("fsync", FSYNC)


def play(
    name: str,
    fsync: str,
    fault: Fault | None = None,
    *,
    visitor: Callable[[World], None] = lambda _world: None,
    observer: Callable[[World], None] = lambda _world: None,
) -> App:
    """Play a scenario to its end."""
    scenario = SCENARIOS[name]
    world = World(Table(**scenario.table))
    options = {**scenario.options, "fsync": fsync}
    SimulatedFiles(world.disk, Process()).make_directory(TARGET.parent)
    scenario.before(world, options)
    process = Process(fault, visitor=lambda: visitor(world), observer=lambda: observer(world))
    app = App(world, process, scenario.script, scenario.look_ups, **options)
    scenario.run(app)
    return app


class Search:
    """
    Gathers what a crash leaves behind, at every moment of every process that is watched; moments
    that leave the same behind are recovered from once.
    """

    def __init__(self, fsync: str, *, has_power_losses: bool = False) -> None:
        self._fsync = fsync
        self._has_power_losses = has_power_losses
        self._chance = random.Random(SEED)
        self._watched: set[str] = set()
        self._known: set[str] = set()
        self._waiting: deque[tuple[str, World]] = deque()
        self.points = 0
        self.states = 0

    def watch(self, world: World, story: str) -> None:
        """Crash here, in a copy of *world*."""
        self.points += 1
        fingerprint = world.fingerprint(of_unsynced=self._has_power_losses)
        if fingerprint in self._watched:
            return
        self._watched.add(fingerprint)
        self._add(world.clone(), f"{story}, killed at moment {self.points}")
        if not self._has_power_losses:
            return
        for loss in (*LOSSES, random_loss(self._chance), random_loss(self._chance)):
            copy = world.clone()
            copy.disk.lose_power(loss)
            self._add(copy, f"{story}, power lost at moment {self.points} ({loss.name})")

    def _add(self, world: World, story: str) -> None:
        fingerprint = world.fingerprint(of_unsynced=self._has_power_losses)
        if fingerprint not in self._known:
            self._known.add(fingerprint)
            self._waiting.append((story, world))

    def recover(self, *, depth: int, verify: Callable[[World], None]) -> None:
        """
        Recover from everything gathered, from every crash during that, and so on.

        Args:
            depth: Crashes in a row at most.
            verify: Raises AssertionError when a recovered world is not as it should be.
        """
        for crashes in range(1, depth + 1):
            gathered, self._waiting = self._waiting, deque()
            for story, world in gathered:
                self.states += 1
                watch = None
                if crashes < depth:

                    def watch(world: World = world, story: str = story) -> None:
                        self.watch(world, f"{story}; then in the recovery")

                try:
                    self._recover(world, watch)
                    verify(world)
                    _go_on(world, self._fsync)
                    verify(world)
                except AssertionError as exc:
                    raise AssertionError(story) from exc

    def _recover(self, world: World, observer: Callable[[], None] | None) -> None:
        app = App(world, Process(observer=observer), fsync=self._fsync)
        app.deliver()
        app.close()


def _go_on(world: World, fsync: str) -> None:
    """A process that starts afterwards writes, and finds nothing in its way."""
    app = App(world, Process(), fsync=fsync)
    number = 1_000 + len(world.tried)
    app.put(number, number + 1)
    app.close()
    assert {number, number + 1} <= set(world.stored())


def searched(name: str, fsync: str, **options: Any) -> Search:
    search = Search(fsync, **options)
    play(name, fsync, observer=lambda world: search.watch(world, f"{name}, fsync={fsync}"))
    return search


@every_fsync
@every_scenario
def test_killed_at_every_step(name: str, fsync: str) -> None:
    """And at every step of the recovery."""
    search = searched(name, fsync)
    points = search.points
    # Syncs change nothing of what kill -9 leaves, so the recoveries are the same.
    depth = DEPTH if fsync == "never" and (name not in LARGE or IS_FULL) else DEPTH - 1
    search.recover(depth=depth, verify=World.assert_whole)

    print(_said(points, search))
    assert points > 15


def _said(points: int, search: Search) -> str:
    return (
        f"{points:,} crash points, {search.points:,} with those of recoveries; "
        f"{search.states:,} different states recovered from"
    )


@every_scenario
def test_power_lost_at_every_step_with_fsync_always(name: str) -> None:
    """It is no worse than ``kill -9``, whatever of the unsynced the disk kept."""
    search = searched(name, "always", has_power_losses=True)
    points = search.points
    search.recover(depth=DEPTH if name in TWICE else DEPTH - 1, verify=World.assert_whole)

    print(f"seed {SEED}: {_said(points, search)}")
    assert points > 15


@every_scenario
def test_power_lost_at_every_step_with_fsync_batch(name: str) -> None:
    """Rows may be lost that the disk had not got; none is stored twice, and none is in the way."""
    search = searched(name, "batch", has_power_losses=True)
    points = search.points
    search.recover(depth=DEPTH if name in TWICE else DEPTH - 1, verify=assert_not_doubled)

    print(f"seed {SEED}: {_said(points, search)}")
    assert points > 15


def assert_not_doubled(world: World) -> None:
    world.assert_nothing_doubled_or_foreign()
    world.assert_nothing_left()


REFUSABLE = [
    "mkdir",
    "list",
    "rmdir",
    "create",
    "write",
    "size",
    "truncate",
    "dup",
    "sync",
    "read",
    "cut",
    "stat",
    "rename",
    "unlink",
    "sync directory",
    "open lock",
    "lock",
]


@every_fsync
@every_scenario
def test_refused_at_every_step(name: str, fsync: str) -> None:
    """The disk refuses one call, and the process lives on: a row is taken, or its put says so."""
    steps = play(name, fsync).process.steps
    faults = [
        Fault(number, "refuse", done)
        for number, (what, size) in enumerate(steps)
        if what in REFUSABLE and number >= STEPS_OF_START
        for done in {0, 1 if size else 0, size // 2}
    ]
    for fault in faults:
        app = play(name, fsync, fault)
        app.die()
        world = app.world.clone()
        try:
            App(world, Process(), fsync=fsync).close()
            world.assert_whole()
            _go_on(world, fsync)
            world.assert_whole()
            assert 0 == app.counters.rows_lost
        except AssertionError as exc:
            raise AssertionError(f"{fault} of {steps[: fault.step + 1]}") from exc

    print(f"{len(faults)} refusals")


@every_scenario
def test_overtaken_at_every_step(name: str) -> None:
    """Between any two steps another process looks for the dead, and finds a living one."""
    steps = play(name, "never").process.steps
    for number in range(STEPS_OF_START, len(steps)):

        def visit(world: World) -> None:
            visitor = App(world, Process())
            visitor.put(201)
            visitor.close()

        app = play(name, "never", Fault(number, "visit"), visitor=visit)
        app.die()
        try:
            App(app.world, Process()).close()
            app.world.assert_whole()
            assert 0 == app.counters.rows_lost
            assert set() == app.world.refused
        except AssertionError as exc:
            raise AssertionError(f"overtaken before the last of {steps[: number + 1]}") from exc

    print(f"overtaken at {len(steps)} steps")


def test_the_search_finds_what_a_spool_without_syncs_loses() -> None:
    """Proves that the simulation takes what was not synced."""
    search = searched("append", "never", has_power_losses=True)

    with pytest.raises(AssertionError, match="all lost"):
        search.recover(depth=1, verify=World.assert_whole)
