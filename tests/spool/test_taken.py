"""The taken segment: marked before an insert, removed after it."""

from __future__ import annotations

from pathlib import Path

from tests.support.spools import make_spool, put_numbers


def test_a_segment_is_given_out_until_it_is_done(tmp_path: Path) -> None:
    spool = make_spool(tmp_path)
    put_numbers(spool, 1, 3)
    segment = spool.get(0.0)
    assert segment is not None

    assert segment.path.exists()
    spool.task_done()
    assert not segment.path.exists()


def test_an_attempted_segment_is_marked_on_disk(tmp_path: Path) -> None:
    spool = make_spool(tmp_path, fsync="batch")
    put_numbers(spool, 1, 3)
    segment = spool.get(0.0)
    assert segment is not None

    attempted, content = spool.taken.attempting(segment)

    assert (segment.was_attempted, attempted.was_attempted) == (False, True)
    assert [p.suffix for p in attempted.path.parent.glob("0*")] == [".sending"]
    assert (attempted, content) == spool.taken.attempting(attempted)
