"""
Random actions against a plain list: whatever is mixed, in the end the table holds the rows that
were acknowledged, each once.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests.faults.disk import LOSSES, Crash, Fault, Process, SimulatedFiles
from tests.faults.table import Table
from tests.faults.world import TARGET, App, World

pytestmark = pytest.mark.once

FAILURES = (
    "refused",
    "no table",
    "timeout, not stored",
    "timeout, stored",
    "a view threw, stored",
    "lost, half stored",
    "page, stored",
    "page, half stored",
    "413, stored",
    "413, not stored",
    "413, half stored",
    "forged, stored",
    "forged, not stored",
    "forged, half stored",
    "forged view, not stored",
    "forged view, half stored",
    "a view of a shard, half stored",
)
# Only a table that remembers its tokens keeps these single.
LATE = ("timeout, stored late", "lost, half stored, the rest late")
# As many as a handler takes for a fault of the way.
MOST_FORGED = 3
REMEMBERED = 10_000
MONTHS = ("2026-11", "2026-12")
MAX_BYTES = 4_000

processes = st.integers(0, 2)


class Machine(RuleBasedStateMachine):
    """
    Up to three processes with one spool and one table. The plain list is what `World` notes of each
    put: acknowledged, refused, or interrupted by a crash.
    """

    def __init__(self) -> None:
        super().__init__()
        logging.disable(logging.CRITICAL)
        self.world = World()
        self.apps: list[App] = []
        self.next_number = 1

    @initialize(
        window=st.sampled_from([0, 1, 100, REMEMBERED, REMEMBERED]),
        shares=st.sampled_from([1, 2]),
        by_shard=st.booleans(),
        limit=st.sampled_from([math.inf, math.inf, 2]),
        bad=st.sets(st.integers(1, 60), max_size=6),
        bad_columns=st.sets(st.integers(1, 60), max_size=3),
        names_row=st.booleans(),
        fsync=st.sampled_from(["never", "batch", "always"]),
        batch_size=st.integers(1, 6),
    )
    def begin(
        self,
        window: int,
        shares: int,
        by_shard: bool,
        limit: float,
        bad: set[int],
        bad_columns: set[int],
        names_row: bool,
        fsync: str,
        batch_size: int,
    ) -> None:
        self.world.table = Table(
            window=window,
            shares=shares,
            by_shard=by_shard and shares == 2,
            limit=limit,
            bad=bad,
            bad_columns=bad_columns,
            names_row=names_row,
        )
        self.remembers = window == REMEMBERED
        SimulatedFiles(self.world.disk, Process()).make_directory(TARGET)
        self.options: dict[str, Any] = {
            "fsync": fsync,
            "batch_size": batch_size,
            "batch_bytes": 1_000,
            "max_bytes": MAX_BYTES,
        }
        self.apps = [self.new_app()]

    def new_app(self, fault: Fault | None = None) -> App:
        return App(self.world, Process(fault), **self.options)

    def numbers(self, count: int) -> range:
        first, self.next_number = self.next_number, self.next_number + count
        return range(first, self.next_number)

    def app(self, number: int) -> App:
        return self.apps[number % len(self.apps)]

    @rule(
        number=processes,
        count=st.integers(1, 8),
        month=st.sampled_from(MONTHS),
        size=st.sampled_from([0, 0, 150, 600]),
    )
    def emit(self, number: int, count: int, month: str, size: int) -> None:
        """More than fits is refused, and said so."""
        self.app(number).put(*self.numbers(count), month=month, size=size)

    @rule(number=processes, segments=st.integers(1, 3))
    def deliver(self, number: int, segments: int) -> None:
        self.app(number).deliver(segments)

    @rule(
        number=processes,
        failures=st.lists(st.sampled_from([*FAILURES, *LATE, "ok"]), min_size=1, max_size=5),
        look_ups=st.lists(st.sampled_from(["ok", "refused"]), max_size=3),
    )
    def deliver_with_failures(self, number: int, failures: list[str], look_ups: list[str]) -> None:
        app = self.app(number)
        app.script.clear()
        for failure in failures:
            is_forged = failure.startswith("forged,")
            forged = sum(each.startswith("forged,") for each in app.script)
            if (self.remembers or failure not in LATE) and not (
                is_forged and forged == MOST_FORGED
            ):
                app.script.append(failure)
        app.look_ups.extend(look_ups)
        app.deliver(2)

    @precondition(lambda self: self.remembers)
    @rule(look_ups=st.integers(1, 6))
    def take_the_grant_away(self, look_ups: int) -> None:
        """Until an operator gives it again, the writer has its tokens alone."""
        self.world.table.denials = look_ups

    @rule()
    def let_late_inserts_arrive(self) -> None:
        self.world.table.let_all_arrive()

    @rule(number=processes)
    def flush(self, number: int) -> None:
        app = self.app(number)
        is_empty = app.spool.waiting_rows == 0
        assert app.spool.flush(0.0) or not is_empty

    @precondition(lambda self: not self.remembers)
    @rule()
    def forget_tokens(self) -> None:
        self.world.table.forget_tokens()

    @precondition(lambda self: len(self.apps) < 3)
    @rule()
    def start_another_process(self) -> None:
        self.apps.append(self.new_app())

    @precondition(lambda self: len(self.apps) < 3)
    @rule(number=processes, count=st.integers(1, 4))
    def fork(self, number: int, count: int) -> None:
        """The child lets go of the parent's spool, and has one of its own."""
        parent = self.app(number)
        before = self.world.disk.tree(TARGET)
        inherited = parent.spool_of_a_child()
        inherited.abandon()
        assert self.world.disk.tree(TARGET) == before
        child = self.new_app()
        self.apps.append(child)
        child.put(*self.numbers(count))

    @rule(number=processes)
    def kill(self, number: int) -> None:
        self.app(number).die()
        self.replace(number)

    @rule(number=processes, step=st.integers(0, 60), done=st.sampled_from([0, 10, -1]))
    def kill_at_a_step(self, number: int, step: int, done: int) -> None:
        """It dies while it puts and delivers; what another process does then is up to the rules."""
        app = self.app(number)
        app.process.fail_at(Fault(len(app.process.steps) + step, "kill", done))
        try:
            app.put(*self.numbers(3))
            app.deliver(2)
        except Crash:
            pass
        app.die()
        self.replace(number)

    @rule(number=processes, step=st.integers(0, 40))
    def refuse_a_step(self, number: int, step: int) -> None:
        """The disk refuses one call."""
        app = self.app(number)
        app.process.fail_at(Fault(len(app.process.steps) + step, "refuse"))
        app.put(*self.numbers(3))
        app.deliver(2)
        app.process.fail_at(None)

    @rule(number=processes)
    def close(self, number: int) -> None:
        self.app(number).close()
        self.replace(number)

    @rule(number=processes)
    def leave(self, number: int) -> None:
        self.app(number).leave()
        self.replace(number)

    @precondition(lambda self: self.options["fsync"] == "always")
    @rule(loss=st.sampled_from(LOSSES))
    def lose_power(self, loss: Any) -> None:
        for app in self.apps:
            app.die()
        self.world.disk.lose_power(loss)
        self.apps = [self.new_app()]

    def replace(self, number: int) -> None:
        """A new process comes for one that has gone."""
        self.apps[number % len(self.apps)] = self.new_app()

    @invariant()
    def nothing_is_doubled_or_foreign(self) -> None:
        self.world.assert_nothing_doubled_or_foreign()

    @invariant()
    def the_spool_keeps_its_bound(self) -> None:
        for app in self.apps:
            assert app.spool.waiting_rows >= 0
            assert app.spool.waiting_bytes >= 0
            assert app.counters.rows_lost == 0

    def teardown(self) -> None:
        """The last processes end; then everything is where it belongs."""
        try:
            for app in self.apps:
                app.close()
            App(self.world, Process()).close()
            self.world.table.let_all_arrive()
            self.world.assert_whole()
        finally:
            logging.disable(logging.NOTSET)


TestModel = Machine.TestCase
TestModel.settings = settings(
    max_examples=150,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
