"""The spool: rows come out once, in order, and survive any end of the process."""

from __future__ import annotations

import json
import random
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from audit_handler._clock import SystemClock
from audit_handler.spool import DiskFiles, Spool
from tests.support.doubles import SteppingClock
from tests.support.spools import MONTH, leave_behind, make_spool, numbers, put_numbers, take_all


def test_rows_come_out_in_the_order_they_were_put(spool: Spool) -> None:
    put_numbers(spool, 1, 10)

    assert list(range(1, 11)) == take_all(spool)


def test_flush_seals_and_returns_whether_all_rows_are_done(spool: Spool) -> None:
    assert spool.flush(0.0)
    put_numbers(spool, 1, 1)
    assert not spool.flush(0.0)

    assert spool.get(0.0) is not None
    spool.task_done()
    assert spool.flush(0.0)


def test_flush_returns_at_its_deadline(tmp_path: Path) -> None:
    clock = SteppingClock()
    spool = make_spool(tmp_path, clock=clock)
    put_numbers(spool, 1, 1)
    began = clock.now

    assert not spool.flush(7.0)
    assert clock.now == began + 7.0


def test_flush_waits_for_the_rows_before_it_and_no_others(tmp_path: Path) -> None:
    spool = make_spool(tmp_path, clock=SystemClock())
    put_numbers(spool, 1, 2)
    results: list[bool] = []
    flushing = threading.Thread(target=lambda: results.append(spool.flush(30.0)))
    flushing.start()

    assert spool.get(30.0) is not None
    put_numbers(spool, 3, 3)
    spool.task_done()
    flushing.join(30.0)
    assert results == [True]


def test_threads_share_one_numbering(tmp_path: Path) -> None:
    spool = make_spool(tmp_path, batch_size=100, clock=SystemClock())

    def work(thread: int) -> None:
        for number in range(500):
            spool.put(b'{"thread":%d,"n":%d}' % (thread, number), MONTH)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spool.wake(closing=True)
    rows = []
    while segment := spool.get(0.0):
        rows += [json.loads(line) for line in spool.files.read(segment.path).splitlines()]
        spool.task_done()

    assert list(range(1, 4001)) == [row["seq"] for row in rows]
    for thread_number in range(8):
        own = [row["n"] for row in rows if row["thread"] == thread_number]
        assert list(range(500)) == own


@pytest.mark.parametrize("seed", range(20))
def test_the_spool_behaves_like_a_list(tmp_path: Path, seed: int) -> None:
    """Random puts, deliveries, crashes and restarts against a plain list."""
    chance = random.Random(seed)
    expected: list[int] = []
    delivered: list[int] = []
    spool = make_spool(tmp_path, batch_size=chance.randint(1, 5))
    for number in range(200):
        action = chance.random()
        if action < 0.7:
            put_numbers(spool, number, number)
            expected.append(number)
        elif action < 0.9:
            if segment := spool.get(chance.choice([0.0, 10.0])):
                delivered += numbers(spool, segment)
                spool.task_done()
        else:
            if spool._intake.writer:
                leave_behind(spool)
            for dead in spool._queue.adopted._writers.values():
                dead.lock.release()
            spool = make_spool(tmp_path, batch_size=chance.randint(1, 5))
            spool.adopt()
    spool.adopt()
    delivered += take_all(spool)

    assert expected == delivered
    spool.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_adopted", [False, True])
def test_flush_is_not_done_while_a_closed_spools_rows_are_removed_and_not_counted(
    tmp_path: Path, is_adopted: bool
) -> None:
    """A status right after the flush reported a stored row as waiting."""

    class Observed(DiskFiles):
        def unlink(self, path: Path) -> None:
            super().unlink(path)
            if path.suffix == ".ready":
                answers.append((spool.flush(0.0, [closed]), deliverer.waiting_rows))

    files, answers = Observed(), list[tuple[bool, int]]()
    closed, spool = make_spool(tmp_path, files=files), make_spool(tmp_path, files=files)
    put_numbers(closed, 1, 3)
    deliverer = closed
    if is_adopted:
        closed.close()
        spool.adopt()
        deliverer = spool
    taken = take_all(deliverer)

    assert [1, 2, 3] == taken
    assert [(False, 3)] == answers
    assert spool.flush(0.0, [closed])


def test_flush_does_not_wait_for_a_segment_that_a_closed_spool_had_taken(tmp_path: Path) -> None:
    """Its listener was stopped in the middle of a request; another spool delivers the rows."""
    closed, spool = make_spool(tmp_path), make_spool(tmp_path)
    put_numbers(closed, 1, 3)
    assert closed.get(0.0) is not None
    closed.close()
    spool.adopt()
    before = spool.flush(0.0, [closed])

    assert [1, 2, 3] == take_all(spool)
    assert not before
    assert spool.flush(0.0, [closed])


def test_the_segment_behind_the_taken_one_can_be_tried_first(spool: Spool) -> None:
    put_numbers(spool, 1, 9)
    first = spool.get(0.0)
    assert first is not None
    with spool.taken_later() as later:
        assert later is not None
        tried, _ = spool.taken.attempting(later)
    held, _ = spool.taken.attempting(first)
    spool.task_done()
    second = spool.get(0.0)
    assert second is not None

    assert [4, 5, 6] == numbers(spool, tried)
    assert [4, 5, 6] == numbers(spool, second)
    assert second.was_attempted
    assert not spool.files.names(held.path.parent).count(held.path.name)
    spool.task_done()
    assert [7, 8, 9] == take_all(spool)


def test_a_held_segment_is_taken_again_after_an_error(spool: Spool) -> None:
    put_numbers(spool, 1, 6)
    first = spool.get(0.0)
    with suppress(OSError), spool.taken_later():
        raise OSError("the disk is away")

    assert first == spool.taken.segment
    spool.task_done()
    assert [4, 5, 6] == take_all(spool)


def test_without_a_later_segment_none_is_tried(spool: Spool) -> None:
    put_numbers(spool, 1, 4)
    first = spool.get(0.0)
    with spool.taken_later() as later:
        assert later is None

    assert first == spool.taken.segment


def test_a_flush_seals_the_rows_behind_a_held_segment(spool: Spool) -> None:
    """The caller waits for both: whether the table takes the second one decides on the first."""
    put_numbers(spool, 1, 4)
    assert spool.get(0.0) is not None
    assert not spool.flush(0.0)
    with spool.taken_later() as later:
        assert later is not None
        assert [4] == numbers(spool, later)


def test_the_newest_rows_are_sealed_to_be_tried(tmp_path: Path) -> None:
    """Behind segments of bad rows, a few good ones decide before they fill a segment."""
    clock = SteppingClock()
    spool = make_spool(tmp_path / "target", clock=clock)
    put_numbers(spool, 1, 7)
    assert spool.get(0.0) is not None
    clock.now += 10.0
    with spool.taken_later(newest=True) as later:
        assert later is not None
        assert [7] == numbers(spool, later)
