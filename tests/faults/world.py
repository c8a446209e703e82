"""
A whole world on one thread, without real time: a simulated disk, a table that forgets tokens, and
processes that put rows and deliver them.
"""

from __future__ import annotations

import json
import re
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any

from audit_handler._delivery.listener import Listener, State
from audit_handler.errors import (
    DataError,
    DeliveryError,
    SetupError,
    SpoolError,
    TransientError,
    UnconfirmedError,
    ViewError,
)
from audit_handler.spool import Spool
from audit_handler.status import Counters
from tests.faults.disk import Crash, Disk, Process, SimulatedFiles
from tests.faults.table import Row, Table
from tests.support.doubles import SteppingClock

__all__ = ["MONTH", "TARGET", "App", "World"]

TARGET = Path("/var/spool/target")
MONTH = "2026-11"

_WRITER_ID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def too_large() -> DataError:
    """Return what a proxy says."""
    return DataError("HTTP status 413", is_ambiguous=True, is_too_large=True)


# What a writer may get as an answer, whatever became of its insert.
_ANSWERS: dict[str, Callable[[], DeliveryError]] = {
    "lost": lambda: TransientError("connection reset"),
    "page": lambda: UnconfirmedError("a login page answered"),
    "413": too_large,
    "forged": lambda: DataError("code 27", code=27, row=1, is_ambiguous=True, may_be_forged=True),
    "forged view": lambda: ViewError("code 6", code=6, view="d.v", may_be_forged=True),
    "a view of a shard": lambda: ViewError("code 6", code=6, view="d.v", is_from_shard=True),
}


class _Destination:
    """ClickHouse as one process sees it; each request is a step at which it may be killed."""

    reads_files = True

    def __init__(self, app: App) -> None:
        self._app = app
        self._table = app.world.table

    def insert(
        self,
        lines: bytes,
        *,
        token: str,
        path: Path | None = None,
        without: Collection[str] = (),
        ignores_views: bool = False,  # noqa: ARG002  # the protocol's signature
        alone: bool = False,  # noqa: ARG002  # the protocol's signature
        rows: int | None = None,
    ) -> None:
        script = self._app.script
        outcome = script.popleft() if script else "ok"
        failure: DeliveryError | None = None

        def insert() -> None:
            nonlocal failure
            # chDB reads the file in place.
            assert path is not None
            assert lines == self._app.world.disk.file(path).content
            assert rows == len(lines.splitlines())
            failure = self._table.insert(lines, token, is_standard=bool(without), shares=shares)

        what, _, became = outcome.partition(", ")
        shares = (0,) if became.startswith("half stored") else None
        if self.refuses_size(lines):
            failure = too_large()
        elif what in _ANSWERS:
            if became != "not stored":
                self._app.process.step("insert", insert)
            if became.endswith("the rest late"):
                self._table.insert_late(
                    lines, token, is_standard=bool(without), shares=(1,), after=2
                )
            failure = failure or _ANSWERS[what]()
        elif outcome == "ok":
            self._app.process.step("insert", insert)
        elif outcome == "refused":
            failure = TransientError("connection refused", is_ambiguous=False)
        elif outcome == "no table":
            failure = SetupError("no such table", code=60)
        elif outcome == "timeout, not stored":
            failure = TransientError("read timed out")
        elif outcome == "timeout, stored":
            self._app.process.step("insert", insert)
            failure = failure or TransientError("read timed out")
        elif outcome == "timeout, stored late":
            self._app.process.step("insert", lambda: self._table.insert_late(lines, token))
            failure = TransientError("read timed out")
        elif outcome == "a view threw, stored":
            self._app.process.step("insert", insert)
            failure = failure or ViewError("code 395 in the view d.v", code=395, view="d.v")
        else:
            raise AssertionError(outcome)
        if failure:
            raise failure

    def stored(
        self, writer_id: str, first_seq: int, last_seq: int, lines: bytes
    ) -> set[int] | None:
        assert len(lines.splitlines()) == last_seq - first_seq + 1
        self._app.process.step("look up")
        if self._app.look_ups and self._app.look_ups.popleft() != "ok":
            raise TransientError("connection refused", is_ambiguous=False)
        if not self._table.is_seen():
            return None
        return {
            seq for seq in range(first_seq, last_seq + 1) if (writer_id, seq) in self._table.rows
        }

    def hides_rows(self) -> bool:
        return False

    def refuses_size(self, lines: bytes) -> bool:
        return len(lines.splitlines()) > self._table.limit

    def close(self) -> None:
        pass


class World:
    """What is left when processes come and go: the disk, the table, and what was promised."""

    def __init__(self, table: Table | None = None) -> None:
        self.disk = Disk()
        self.table = table or Table()
        self.tried: set[int] = set()
        """Numbers of all rows of which a put began."""
        self.acknowledged: set[int] = set()
        """Of those whose put returned."""
        self.refused: set[int] = set()
        """Of those whose put said that the row was not taken."""
        self.interrupted: set[int] = set()
        """Of those whose put never returned, or said that the row is written but not synced."""
        self.putting: int | None = None
        """The one whose put goes on at this moment."""

    def clone(self) -> World:
        """Return this world as it is left if every process ends now."""
        clone = World(self.table.clone())
        clone.disk = self.disk.clone()
        clone.tried, clone.acknowledged = set(self.tried), set(self.acknowledged)
        clone.refused, clone.interrupted = set(self.refused), set(self.interrupted)
        if self.putting is not None:
            clone.interrupted.add(self.putting)
        return clone

    def fingerprint(self, *, of_unsynced: bool = False) -> str:
        """Return what tells this world from others; who the writers are does not matter."""
        table = self.table
        state = (
            sorted(self.disk.tree(Path("/")).items()),
            sorted(table.rows.items()),
            table._tokens,
            table._late,
            sorted(self.acknowledged),
            sorted(self.refused),
            sorted(self.interrupted | {self.putting or 0}),
            self.disk.unsynced() if of_unsynced else (),
        )
        text = repr(state)
        for number, writer in enumerate(sorted(set(_WRITER_ID.findall(text)))):
            text = text.replace(writer, f"#{number}")
        return text

    def stored(self) -> Counter[int]:
        return Counter(number for numbers in self.table.rows.values() for number in numbers)

    def rejected(self) -> dict[Row, list[int]]:
        """Return what stands in ``rejected/``, after seeing that each row has its reason."""
        files = self.disk.tree(TARGET)
        found: dict[Row, list[int]] = {}
        for name, content in files.items():
            if not (name.startswith("rejected/") and name.endswith(".ndjson")):
                continue
            rows = [json.loads(line) for line in content.splitlines()]
            reasons = json.loads(files[name.replace(".ndjson", ".error.json")])["rows"]
            assert [row["seq"] for row in rows] == [reason["seq"] for reason in reasons]
            for row in rows:
                found.setdefault((row["writer_id"], row["seq"]), []).append(row["n"])
        return found

    def missing(self) -> set[int]:
        """Return the numbers of acknowledged rows that are nowhere."""
        rejected = {number for numbers in self.rejected().values() for number in numbers}
        return self.acknowledged - set(self.stored()) - rejected

    def assert_nothing_doubled_or_foreign(self) -> None:
        rejected = self.rejected()
        for row, numbers in [*self.table.rows.items(), *rejected.items()]:
            assert len(numbers) == 1, f"{row} is there {len(numbers)} times"
        assert not (both := self.table.rows.keys() & rejected.keys()), f"stored, rejected: {both}"
        all_of = self.stored() + Counter(n for numbers in rejected.values() for n in numbers)
        assert max(all_of.values(), default=1) == 1, f"doubled: {all_of.most_common(3)}"
        assert not (foreign := all_of.keys() - self.tried), f"never put: {foreign}"
        assert not (untaken := all_of.keys() & self.refused), f"refused, but there: {untaken}"

    def assert_whole(self) -> None:
        """
        Each acknowledged row is there once, numbers have no gap, and the spool is empty; of a put
        that a crash ended the row may be there or not.
        """
        self.assert_nothing_doubled_or_foreign()
        assert not (missing := self.missing()), f"lost: {sorted(missing)}"
        rejected = self.rejected()
        there = {n for numbers in (self.table.rows | rejected).values() for n in numbers}
        assert there <= self.acknowledged | self.interrupted
        assert {n for numbers in rejected.values() for n in numbers} == there & self.table.bad
        for writer_id in {writer_id for writer_id, _ in self.table.rows | rejected}:
            seqs = sorted(seq for who, seq in self.table.rows | rejected if who == writer_id)
            assert seqs == list(range(1, len(seqs) + 1)), f"gaps: {seqs}"
        self.assert_nothing_left()

    def assert_nothing_left(self) -> None:
        left = self.disk.tree(TARGET)
        assert {name for name in left if not name.startswith("rejected/")} == set()
        assert [name for name in left if name.endswith(".tmp")] == []


class App:
    """
    One process with one handler: its spool and its listener, run on the test's thread.

    Args:
        world: Where it runs.
        process: Counts its steps and meets its faults.
        script: How its inserts end, one after another; after the last one they succeed.
        look_ups: How its look-ups end, ``ok`` or ``refused``.
        options: The spool's.
    """

    def __init__(
        self,
        world: World,
        process: Process,
        script: Iterable[str] = (),
        look_ups: Iterable[str] = (),
        **options: Any,
    ) -> None:
        self.world = world
        self.process = process
        self.script = deque(script)
        self.look_ups = deque(look_ups)
        self.counters = Counters()
        self.clock = SteppingClock()
        self.files = SimulatedFiles(world.disk, process)
        self.files.make_directory(TARGET)
        self.options: dict[str, Any] = {
            "batch_size": 3,
            "batch_bytes": 64 * 1024,
            "flush_interval": 5.0,
            "max_bytes": 10**9,
            "fsync": "never",
            "clock": self.clock,
            **options,
        }
        self.spool = Spool(self.files, TARGET, **self.options)
        self.listener = Listener(
            self.spool,
            _Destination(self),
            counters=self.counters,
            clock=self.clock,
            retry_min=0.2,
            retry_max=30.0,
            jitter=lambda: 0.0,
        )

    def put(self, *numbers: int, month: str = MONTH, size: int = 0) -> None:
        """Put rows; note what became of each."""
        for number in numbers:
            self.world.tried.add(number)
            body = b'{"n":%d,"x":"%b"}' % (number, b"x" * size)
            self.world.putting = number
            last_seq = self.spool.last_seq
            try:
                self.spool.put(body, month)
            except SpoolError:
                # Taken all the same: it is written, but could not be synced.
                is_taken = self.spool.last_seq > last_seq
                (self.world.interrupted if is_taken else self.world.refused).add(number)
                # As the middleware does before the next request.
                with suppress(SpoolError):
                    self.spool.check_space()
            except Crash:
                self.world.interrupted.add(number)
                raise
            else:
                self.world.acknowledged.add(number)
            self.world.putting = None

    def deliver(self, segments: int = 1_000) -> None:
        """
        Take over what the dead left, and deliver some segments, as the listener's thread does.
        """
        self.listener.state = State.DRAINING
        for _ in range(segments):
            segment = self.listener.dequeue(True)
            if segment is None:
                break
            self.listener.handle(segment)
            self.spool.task_done()
        self.listener.state = State.NEW

    def try_to_deliver(self) -> None:
        """Deliver one segment while the server fails; the listener is stopped after the script."""
        segment = self.spool.get(10.0)
        if segment is None:
            return
        tries = len(self.script)
        pause = self.listener._pause

        def stop(seconds: float) -> None:
            nonlocal tries
            tries -= 1
            if tries <= 0:
                self.listener.state = State.STOPPING
            pause(seconds)

        self.listener._pause = stop  # type: ignore[method-assign]
        if self.listener.handle(segment):
            self.spool.task_done()

    def close(self) -> None:
        """Deliver what waits, and close, as at the end of a process."""
        self.listener.drain()
        self.listener.serve()

    def leave(self) -> None:
        """Close without delivering what waits."""
        self.listener.stop()
        self.listener.serve()

    def spool_of_a_child(self) -> Spool:
        """
        Return the spool as a forked child has it: the same objects, on descriptors of its own.
        """
        files = SimulatedFiles(self.world.disk, Process(), inherited=self.files)
        spool = copy(self.spool)
        spool.files = files
        intake = spool._intake = copy(spool._intake)
        intake._files = files
        if intake.writer:
            writer = intake.writer = copy(intake.writer)
            writer._files = files
            if writer._open:
                writer._open = copy(writer._open)
                writer._open._files = files
        return spool

    def die(self) -> None:
        """``kill -9`` between two steps."""
        self.process.die()
