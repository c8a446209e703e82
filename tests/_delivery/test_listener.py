"""The listener: every segment ends stored or set aside, whatever ClickHouse answers."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

from audit_handler._delivery.listener import Listener
from audit_handler.errors import DataError, DeliveryError, SetupError, TransientError
from audit_handler.spool import Spool
from audit_handler.status import Counters
from tests.support.doubles import ScriptedDestination, SteppingClock
from tests.support.spools import leave_behind, make_spool, put_numbers

TIMEOUT = TransientError("read timed out")
REFUSED = TransientError("connection refused", is_ambiguous=False)
NO_TABLE = SetupError("code 60: no such table; run audit-handler init", code=60)


class Bench:
    """
    A spool of ten-row segments, a scripted ClickHouse, and a listener that runs on the test's
    thread.
    """

    def __init__(
        self, directory: Path, *script: DeliveryError | tuple[DeliveryError, bool] | None
    ) -> None:
        # Below a directory of its own: its neighbours there would be other targets.
        self.directory = directory / "target"
        self.clock = SteppingClock()
        self.counters = Counters()
        self.destination = ScriptedDestination(*script)
        self.spool = self.new_spool()

    def new_spool(self, **options: Any) -> Spool:
        return make_spool(self.directory, batch_size=10, clock=self.clock, fsync="batch", **options)

    def listener(self, jitter: Callable[[], float] = lambda: 1.0) -> Listener:
        return Listener(
            self.spool,
            self.destination,
            counters=self.counters,
            clock=self.clock,
            retry_min=0.2,
            retry_max=30.0,
            jitter=jitter,
        )

    def deliver(self) -> None:
        """Run the stdlib's loop until the spool is empty."""
        listener = self.listener()
        listener.drain()
        self.spool.adopt()
        listener._run()

    @property
    def stored(self) -> list[int]:
        return sorted(json.loads(line)["n"] for line in self.destination.rows)

    @property
    def rejected(self) -> list[int]:
        files = (self.directory / "rejected").glob("*.ndjson")
        return sorted(
            json.loads(line)["n"] for file in files for line in file.read_bytes().splitlines()
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def refuse_rows(
    *bad: int, names_row: bool = True, code: int = 27
) -> Callable[[bytes], DataError | None]:
    """
    Return what a server does about bad rows: the whole insert is refused, mostly naming the first
    one.
    """

    def refuse(lines: bytes) -> DataError | None:
        for position, line in enumerate(lines.splitlines(), start=1):
            if json.loads(line)["n"] in bad:
                return DataError("code 27", code=code, row=position if names_row else None)
        return None

    return refuse


def test_a_segment_is_sent_whole_under_a_token_of_its_own(bench: Bench) -> None:
    put_numbers(bench.spool, 1, 12)
    writer_id = bench.spool._writer.writer_id if bench.spool._writer else ""
    bench.deliver()

    assert [f"{writer_id}:1-10", f"{writer_id}:11-12"] == bench.destination.tokens
    assert list(range(1, 13)) == bench.stored
    assert (12, 2, 0) == (
        bench.counters.rows_stored,
        bench.counters.batches_stored,
        bench.counters.retries,
    )


def test_the_thread_closes_what_it_used_when_it_ends(bench: Bench) -> None:
    put_numbers(bench.spool, 1, 3)
    bench.deliver()

    assert bench.destination.is_closed
    assert [] == list(bench.directory.iterdir())


@pytest.mark.parametrize("failure", [TIMEOUT, REFUSED, NO_TABLE, ValueError("a bug of ours")])
def test_no_failure_is_final(tmp_path: Path, failure: Any) -> None:
    bench = Bench(tmp_path)
    outcomes = [failure] * 50
    bench.destination.refuse = lambda _lines: outcomes.pop() if outcomes else None
    put_numbers(bench.spool, 1, 3)
    if isinstance(failure, ValueError):

        def raise_bug(_lines: bytes) -> None:
            if outcomes:
                raise outcomes.pop()

        bench.destination.refuse = raise_bug  # type: ignore[assignment]
    bench.deliver()

    assert [1, 2, 3] == bench.stored
    assert bench.counters.retries == 50


def test_a_retry_goes_under_the_same_token(tmp_path: Path) -> None:
    bench = Bench(tmp_path, REFUSED, REFUSED)
    put_numbers(bench.spool, 1, 3)
    bench.deliver()

    assert 3 == len(bench.destination.tokens)
    assert 1 == len(set(bench.destination.tokens))


def test_waits_double_up_to_their_bound_and_a_random_share_of_them_is_taken(bench: Bench) -> None:
    bench.destination.script = [REFUSED] * 10
    put_numbers(bench.spool, 1, 10)
    listener = bench.listener(jitter=lambda: 0.5)
    segment = listener.dequeue(True)
    assert segment is not None
    bench.clock.waits.clear()
    listener.handle(segment)

    assert [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0, 15.0] == pytest.approx(bench.clock.waits)


def test_an_insert_whose_answer_was_lost_is_looked_up_and_not_repeated(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (TIMEOUT, True))
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert 1 == len(bench.destination.tokens)
    assert [(1, 10)] == bench.destination.look_ups
    assert list(range(1, 11)) == bench.stored
    assert 10 == bench.counters.rows_stored


def test_an_insert_that_never_left_is_not_looked_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path, REFUSED)
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert [] == bench.destination.look_ups


def test_an_unsure_insert_that_is_not_stored_is_repeated(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TIMEOUT)
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert 2 == len(bench.destination.tokens)
    assert list(range(1, 11)) == bench.stored


def test_of_an_insert_that_is_half_stored_the_missing_rows_are_sent(bench: Bench) -> None:
    """Two partitions, one of them stored: each missing run goes under its own token."""
    put_numbers(bench.spool, 1, 10)
    segment = bench.spool.get(0.0)
    assert segment is not None
    lines = segment.path.read_bytes().splitlines()
    bench.destination.rows = dict.fromkeys([lines[2], lines[3], lines[7]])
    bench.destination.script = [TIMEOUT]
    listener = bench.listener()
    listener.handle(segment)

    assert ["1-10", "1-2", "5-7", "9-10"] == [t.split(":")[1] for t in bench.destination.tokens]
    assert list(range(1, 11)) == bench.stored


def test_a_segment_that_a_dead_process_had_attempted_is_looked_up_first(bench: Bench) -> None:
    put_numbers(bench.spool, 1, 20)
    segment = bench.spool.get(0.0)
    assert segment is not None
    attempted, _ = bench.spool.attempting(segment)
    bench.destination.rows = dict.fromkeys(attempted.path.read_bytes().splitlines())
    leave_behind(bench.spool)
    bench.spool = bench.new_spool()
    bench.deliver()

    assert [(1, 10)] == bench.destination.look_ups
    assert ["11-20"] == [token.split(":")[1] for token in bench.destination.tokens]
    assert list(range(1, 21)) == bench.stored


def test_without_the_right_to_look_up_the_token_has_to_do(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TIMEOUT)
    bench.destination.can_look_up = False
    put_numbers(bench.spool, 1, 3)
    bench.deliver()

    assert 2 == len(bench.destination.tokens)
    assert 1 == len(set(bench.destination.tokens))


# Rows that ClickHouse cannot take


@pytest.mark.parametrize("names_row", [True, False])
@pytest.mark.parametrize("bad", [(1,), (10,), (5,), (1, 10), (4, 5, 6), (2, 4, 6, 8), range(1, 11)])
def test_bad_rows_are_set_aside_and_their_neighbours_stored(
    bench: Bench, bad: tuple[int, ...], names_row: bool
) -> None:
    bench.destination.refuse = refuse_rows(*bad, names_row=names_row)
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert list(bad) == bench.rejected
    assert sorted(set(range(1, 11)) - set(bad)) == bench.stored
    assert len(bad) == bench.counters.rows_rejected


def test_a_bad_row_is_found_among_ten_thousand_with_few_inserts(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.spool = make_spool(
        bench.directory, batch_size=10_000, batch_bytes=8 << 20, clock=bench.clock
    )
    bench.destination.refuse = refuse_rows(6_000, names_row=False)
    put_numbers(bench.spool, 1, 10_000)
    bench.deliver()

    assert [6_000] == bench.rejected
    assert 9_999 == len(bench.stored)
    assert len(bench.destination.tokens) < 40


def test_every_part_of_a_split_segment_has_a_token_of_its_own(bench: Bench) -> None:
    """
    A token drops whatever else comes under it: a part under the segment's token would be lost rows.
    """
    bench.destination.refuse = refuse_rows(5)
    put_numbers(bench.spool, 1, 10)
    bench.deliver()
    ranges = [token.split(":")[1] for token in bench.destination.tokens]

    # Row 5: refused, refused without the user's columns, and both once more at the end.
    assert ["1-10", "1-4", "5-5", "5-5", "6-10", "5-5", "5-5"] == ranges


def test_a_rejected_row_is_kept_with_the_reason(bench: Bench) -> None:
    bench.destination.refuse = refuse_rows(2)
    put_numbers(bench.spool, 1, 3)
    bench.deliver()
    (reasons,) = (bench.directory / "rejected").glob("*.error.json")
    (entry,) = json.loads(reasons.read_text())["rows"]

    assert (2, 27, "code 27") == (entry["seq"], entry["code"], entry["reason"])


def test_a_row_refused_for_a_column_of_the_user_is_stored_without_it(bench: Bench) -> None:
    """What was meant for that column stands in metadata as well."""

    def refuse(lines: bytes) -> DataError | None:
        is_standard = bench.destination.standard_tokens[-1:] == bench.destination.tokens[-1:]
        return None if is_standard else refuse_rows(2)(lines)

    bench.destination.refuse = refuse
    put_numbers(bench.spool, 1, 3)
    bench.deliver()

    assert [1, 2, 3] == bench.stored
    assert [] == bench.rejected


def test_a_table_that_is_mended_while_its_rows_are_tried_one_by_one_gets_them_all(
    bench: Bench,
) -> None:
    """Those that were refused before the mend are offered once more before they are set aside."""

    def refuse(lines: bytes) -> DataError | None:
        is_mended = len(bench.destination.tokens) > 7
        return None if is_mended else refuse_rows(*range(1, 11))(lines)

    bench.destination.refuse = refuse
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert list(range(1, 11)) == bench.stored
    assert ([], 0) == (bench.rejected, bench.counters.rows_rejected)


def test_when_the_table_takes_nothing_the_rows_are_kept(tmp_path: Path) -> None:
    """
    A column that changed its type is not the rows' fault: nothing is set aside, all is stored after
    the mend.
    """
    bench = Bench(tmp_path)
    bench.spool = make_spool(bench.directory, batch_size=100, clock=bench.clock)
    refuse = refuse_rows(*range(1, 101))
    complaints = []

    def refuse_until_mended(lines: bytes) -> DataError | None:
        complaints.append(bench.counters.last_error)
        return None if "takes none of" in bench.counters.last_error else refuse(lines)

    bench.destination.refuse = refuse_until_mended
    put_numbers(bench.spool, 1, 100)
    bench.deliver()

    assert [] == bench.rejected
    assert list(range(1, 101)) == bench.stored
    assert len(complaints) < 120


def test_rows_that_a_throwing_view_left_stored_are_not_split(tmp_path: Path) -> None:
    """
    Code 395 comes after the rows themselves are stored; parts under their own tokens would double
    them.
    """
    threw = DataError("code 395", code=395, is_ambiguous=True)
    bench = Bench(tmp_path, (threw, True))
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert list(range(1, 11)) == bench.stored
    assert 1 == len(bench.destination.tokens)


def test_a_crash_in_the_middle_of_a_split_doubles_nothing(bench: Bench) -> None:
    bench.destination.refuse = refuse_rows(5)
    bench.destination.script = [None, None, None, None, TransientError("gone")]
    put_numbers(bench.spool, 1, 10)
    listener = bench.listener()
    segment = listener.dequeue(True)
    assert segment is not None

    def die(_seconds: float) -> None:
        listener._is_stopping = True

    listener._pause = die  # type: ignore[method-assign]
    with pytest.raises(Empty):
        listener.handle(segment)
    leave_behind(bench.spool)
    bench.spool = bench.new_spool()
    bench.deliver()

    assert [1, 2, 3, 4, 6, 7, 8, 9, 10] == bench.stored
    assert [5] == bench.rejected


# What is said


def test_one_line_is_logged_for_each_change_of_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path, REFUSED, REFUSED, REFUSED, NO_TABLE, NO_TABLE, None)
    put_numbers(bench.spool, 1, 3)
    with caplog.at_level(logging.INFO):
        bench.deliver()
    levels = [(r.levelname, r.getMessage()) for r in caplog.records if r.name.startswith("audit_h")]

    assert ["WARNING", "ERROR", "INFO"] == [level for level, _ in levels]
    assert "connection refused" in levels[0][1]
    assert "audit-handler init" in levels[1][1]
    assert "takes rows again" in levels[2][1]


def test_a_segment_that_somebody_removed_is_counted_and_said(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    put_numbers(bench.spool, 1, 13)
    next(bench.directory.rglob("*.ready")).unlink()
    bench.deliver()

    assert 10 == bench.counters.rows_lost
    assert [11, 12, 13] == bench.stored
    assert "10 rows were removed from the spool" in caplog.text


def test_a_stopped_listener_leaves_the_rows_in_the_spool(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *[REFUSED] * 100)
    put_numbers(bench.spool, 1, 3)
    listener = bench.listener()
    segment = bench.spool.get(10.0)
    assert segment is not None
    listener._is_stopping = True
    with pytest.raises(Empty):
        listener.handle(segment)
    bench.spool.close()
    bench.spool = bench.new_spool()
    bench.destination.script.clear()
    bench.deliver()

    assert [1, 2, 3] == bench.stored


def test_hurry_cuts_a_wait_short(bench: Bench) -> None:
    listener = bench.listener()
    listener.hurry()
    began = bench.clock.now
    listener._pause(30.0)
    listener._pause(30.0)

    assert bench.clock.now == began + 30.0


def test_rows_for_a_target_that_nobody_serves_are_reported_and_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The dsn was changed while rows were waiting: they stay until somebody serves the old one."""
    dead = make_spool(tmp_path / "old-target")
    put_numbers(dead, 1, 3)
    leave_behind(dead)
    living = make_spool(tmp_path / "other-application")
    put_numbers(living, 4, 6)
    (tmp_path / "not-a-spool").mkdir()
    (tmp_path / "a-file").touch()
    bench = Bench(tmp_path)
    put_numbers(bench.spool, 7, 9)
    bench.deliver()

    said = [r.getMessage() for r in caplog.records if "no process serves" in r.getMessage()]
    assert len(said) == 1
    assert str(tmp_path / "old-target") in said[0]
    assert bench.stored == [7, 8, 9]
    assert [] == list((tmp_path / "not-a-spool").iterdir())
    assert len(list((tmp_path / "old-target").rglob("*.ready"))) == 1


# What the spool's disk does


def test_a_segment_that_somebody_removed_is_lost_and_told(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    put_numbers(bench.spool, 1, 20)
    segment = bench.spool.get(0.0)
    assert segment is not None
    segment.path.unlink()
    bench.listener().handle(segment)
    bench.spool.task_done()
    bench.deliver()

    assert 10 == bench.counters.rows_lost
    assert list(range(11, 21)) == bench.stored
    assert "removed from the spool by somebody else" in caplog.text


def test_another_file_that_is_missing_costs_no_segment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``rejected/`` was removed at the wrong moment, and the bad row's segment after it."""
    bench.destination.refuse = refuse_rows(5, names_row=True)
    real = bench.spool.set_aside

    def removed(name: str, _content: bytes) -> Path:
        monkeypatch.undo()
        raise FileNotFoundError(2, "No such file or directory", f"rejected/{name}")

    monkeypatch.setattr(bench.spool, "set_aside", removed)
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert bench.spool.set_aside == real
    assert 0 == bench.counters.rows_lost
    assert [5] == bench.rejected
    assert 9 == len(bench.stored)


def test_a_segment_that_the_disk_does_not_give_back_holds_up_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = bench.spool.files.read

    def read(path: Path, *, is_synced: bool = False) -> bytes:
        if path.stem.endswith("01"):
            raise OSError(5, "Input/output error", str(path))
        return real(path, is_synced=is_synced)

    monkeypatch.setattr(bench.spool.files, "read", read)
    put_numbers(bench.spool, 1, 30)
    bench.deliver()
    left = list(bench.directory.rglob("*.unreadable"))

    assert list(range(11, 31)) == bench.stored
    assert 10 == bench.counters.rows_lost
    assert 10 == len(left[0].read_bytes().splitlines())
    assert str(left[0]) in caplog.text
    assert 0 == bench.spool.waiting_rows


def test_a_segment_that_can_be_read_and_not_synced_is_delivered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = bench.spool.files.read

    def read(path: Path, *, is_synced: bool = False) -> bytes:
        if is_synced:
            raise OSError(5, "Input/output error", str(path))
        return real(path)

    monkeypatch.setattr(bench.spool.files, "read", read)
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert list(range(1, 11)) == bench.stored
    assert 0 == bench.counters.rows_lost


def test_a_segment_that_can_neither_be_read_nor_set_aside_ends_no_thread(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = bench.spool.files
    real_read, refusals = files.read, [OSError(5, "Input/output error")] * 20

    def read(path: Path, *, is_synced: bool = False) -> bytes:
        if refusals:
            raise refusals.pop()
        return real_read(path, is_synced=is_synced)

    def refused(_segment: object) -> Path:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files, "read", read)
    monkeypatch.setattr(bench.spool, "give_up", refused)
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert list(range(1, 11)) == bench.stored
