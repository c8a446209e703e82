"""The queue: segments come out once, adopted ones first, and are counted when they are done."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_handler.spool import MemoryFiles, Segment
from audit_handler.spool._adopted import Adopted
from audit_handler.spool._queue import SegmentQueue
from audit_handler.spool._taken import TakenSegment

DIRECTORY = Path("/target")


@pytest.fixture
def queue() -> SegmentQueue:
    return SegmentQueue(MemoryFiles(), is_synced=False, notify=lambda: None)


def segment(writer_id: str, first_seq: int, *, since: float = 0.0) -> Segment:
    """Return a segment of ten rows."""
    path = DIRECTORY / writer_id / f"{first_seq:020d}.ready"
    return Segment(
        writer_id=writer_id, first_seq=first_seq, rows=10, size=100, path=path, since=since
    )


def adopt(queue: SegmentQueue, *segments: Segment) -> None:
    directory = DIRECTORY / segments[0].writer_id
    lock = MemoryFiles().lock(directory / "lock")
    assert lock is not None
    queue.adopted.add(
        Adopted(directory=directory, lock=lock, waiting=len(segments)), list(segments)
    )


@pytest.mark.parametrize("moment", ["sealed", "taken", "finished"])
def test_a_segment_that_is_added_again_by_an_interrupted_call_comes_out_once(
    queue: SegmentQueue, moment: str
) -> None:
    queue.add(segment("own", 1))
    if moment != "sealed":
        queue.take_sealed()
    if moment == "finished":
        queue.finish()
    queue.add(segment("own", 1))
    queue.add(segment("own", 11))
    left = [each.first_seq for each in queue.sealed]

    assert ([1, 11] if moment == "sealed" else [11]) == left


def test_a_finished_segment_of_our_own_moves_our_counts(queue: SegmentQueue) -> None:
    queue.add(segment("own", 1))
    taken = queue.take_sealed()
    before = (queue.finished_seq, queue.finished_bytes)
    queue.finish()

    assert segment("own", 1) == taken
    assert (0, 0) == before
    assert (10, 100) == (queue.finished_seq, queue.finished_bytes)
    assert queue.taken.segment is None


def test_a_finished_segment_of_a_dead_writer_moves_its_counts_alone(queue: SegmentQueue) -> None:
    adopt(queue, segment("dead", 1), segment("dead", 11))
    queue.take_adopted()
    queue.finish()

    assert (0, 0) == (queue.finished_seq, queue.finished_bytes)
    assert (10, 100) == (queue.adopted.rows, queue.adopted.bytes)


@pytest.mark.parametrize("is_adopted", [False, True])
def test_a_segment_is_counted_before_it_is_forgotten(queue: SegmentQueue, is_adopted: bool) -> None:
    """A flush on another thread found it gone, and a status right after it waiting."""
    counts = []

    class Observed(TakenSegment):
        @property
        def segment(self) -> Segment | None:
            return self.held

        @segment.setter
        def segment(self, segment: Segment | None) -> None:
            self.held = segment
            counts.append((queue.finished_seq, queue.adopted.rows))

    queue.taken = Observed(MemoryFiles(), is_synced=False)
    if is_adopted:
        adopt(queue, segment("dead", 1))
    else:
        queue.add(segment("own", 1))
    assert queue.take_adopted() or queue.take_sealed()
    queue.finish()

    assert ((0, 0) if is_adopted else (10, 0)) == counts[-1]


def test_finishing_without_a_taken_segment_changes_nothing(queue: SegmentQueue) -> None:
    queue.add(segment("own", 1))
    queue.finish()

    assert (0, 1) == (queue.finished_seq, len(queue.sealed))


def test_the_oldest_segment_may_be_sealed_adopted_or_taken(queue: SegmentQueue) -> None:
    nothing = queue.oldest_since()
    queue.add(segment("own", 1, since=3.0))
    sealed = queue.oldest_since()
    adopt(queue, segment("dead", 1, since=2.0))
    adopted = queue.oldest_since()
    queue.take_adopted()
    queue.taken.segment = segment("dead", 1, since=1.0)

    assert (None, 3.0, 2.0, 1.0) == (nothing, sealed, adopted, queue.oldest_since())


def test_a_change_of_the_queue_is_notified() -> None:
    notified: list[str] = []
    queue = SegmentQueue(MemoryFiles(), is_synced=False, notify=lambda: notified.append("now"))
    queue.add(segment("own", 1))
    queue.take_sealed()
    queue.finish()

    assert 2 == len(notified)


@pytest.mark.parametrize("is_adopted", [False, True])
def test_a_segment_is_held_back_while_a_later_one_is_tried(
    queue: SegmentQueue, is_adopted: bool
) -> None:
    queue.add(segment("own", 1))
    queue.take_sealed()
    if is_adopted:
        adopt(queue, segment("dead", 1))
    queue.add(segment("own", 11))
    later = queue.hold()
    queue.add(segment("own", 11))
    queue.resume()
    taken = queue.taken.segment
    queue.finish()

    assert segment("dead", 1) == later if is_adopted else segment("own", 11) == later
    assert segment("own", 1) == taken
    assert 10 == queue.finished_seq
    assert later == (queue.take_adopted() or queue.take_sealed())


@pytest.mark.parametrize("is_adopted", [False, True])
def test_the_newest_segment_can_be_tried_and_keeps_its_place(
    queue: SegmentQueue, is_adopted: bool
) -> None:
    names = ["own", "own", "own"] if not is_adopted else ["dead", "dead", "dead"]
    waiting = [segment(name, 1 + 10 * place) for place, name in enumerate(names)]
    if is_adopted:
        adopt(queue, *waiting)
    for each in waiting if not is_adopted else ():
        queue.add(each)
    first = queue.take_adopted() or queue.take_sealed()
    newest = queue.hold(newest=True)
    queue.add(segment("own", 41))
    queue.resume()

    assert waiting[2] == newest
    assert waiting[0] == first == queue.taken.segment
    rest = [queue.take_adopted() or queue.take_sealed() for _ in range(3)]
    assert [*waiting[1:], segment("own", 41)] == rest


def test_the_only_later_segment_is_not_the_newest_one_too(queue: SegmentQueue) -> None:
    queue.add(segment("own", 1))
    queue.add(segment("own", 11))
    queue.take_sealed()

    assert None is queue.hold(newest=True)
    assert segment("own", 1) == queue.taken.segment


def test_without_a_later_segment_none_is_held_back(queue: SegmentQueue) -> None:
    queue.add(segment("own", 1))
    queue.take_sealed()
    later = queue.hold()
    queue.resume()

    assert None is later
    assert segment("own", 1) == queue.taken.segment
