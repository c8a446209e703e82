"""The intake: bounds, the probe of the disk, and when a segment is due."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from audit_handler.errors import SpoolClosed, SpoolFull, SpoolUnavailable
from audit_handler.spool import Spool
from tests.support.disks import FaultyFiles
from tests.support.doubles import SteppingClock
from tests.support.spools import MONTH, make_spool, numbers, put_numbers, take_all


def test_an_open_segment_is_sealed_when_it_is_old_enough(spool: Spool) -> None:
    put_numbers(spool, 1, 1)

    assert spool.get(4.9) is None
    segment = spool.get(0.2)
    assert segment is not None
    assert numbers(spool, segment) == [1]


def test_an_open_segment_grows_while_other_segments_are_sent(tmp_path: Path) -> None:
    """After an outage of hours there are full segments, not one per flush interval."""
    clock = SteppingClock()
    spool = make_spool(tmp_path, clock=clock)
    put_numbers(spool, 1, 4)
    clock.now += 3600

    assert spool.get(0.0) is not None
    put_numbers(spool, 5, 6)
    spool.task_done()
    following = spool.get(0.0)
    assert following is not None
    assert numbers(spool, following) == [4, 5, 6]


def test_a_full_spool_accepts_rows_again_when_there_is_space(spool: Spool) -> None:
    spool._intake.max_bytes = 400
    with pytest.raises(SpoolFull, match="max_spool_bytes=400"):
        put_numbers(spool, 1, 100)
    before = take_all(spool)
    put_numbers(spool, 1000, 1000)

    assert list(range(1, len(before) + 1)) == before
    assert take_all(spool) == [1000]


def test_a_row_that_is_not_accepted_leaves_no_gap_in_seq(spool: Spool) -> None:
    spool.put(b'{"n":1}', MONTH)
    spool._intake.max_bytes = 10
    with pytest.raises(SpoolFull):
        spool.put(b'{"n":2}', MONTH)
    spool._intake.max_bytes = 10**9
    spool.put(b'{"n":3}', MONTH)
    segment = spool.get(10.0)
    assert segment is not None
    seqs = [json.loads(line)["seq"] for line in spool.files.read(segment.path).splitlines()]

    assert seqs == [1, 2]


def test_a_closed_spool_accepts_nothing(spool: Spool) -> None:
    spool.close()

    with pytest.raises(SpoolClosed):
        spool.put(b"{}", MONTH)


def test_after_a_failure_the_disk_is_probed_until_writes_succeed(tmp_path: Path) -> None:
    """
    A caller that asks first and gets no puts nothing: without a probe the answer would never
    change.
    """
    files = FaultyFiles()
    spool = make_spool(tmp_path, files=files)
    files.partial = 0
    with pytest.raises(SpoolUnavailable):
        put_numbers(spool, 1, 1)
    with pytest.raises(SpoolUnavailable):
        spool.check_space()
    files.partial = None
    spool.check_space()
    put_numbers(spool, 2, 2)

    assert [2] == take_all(spool)


def test_a_directory_that_is_removed_while_the_disk_fails_does_not_close_the_spool(
    tmp_path: Path,
) -> None:
    files = FaultyFiles()
    spool = make_spool(tmp_path / "spool" / "target", files=files)
    put_numbers(spool, 1, 1)
    files.partial = 0
    with pytest.raises(SpoolUnavailable):
        put_numbers(spool, 2, 2)
    shutil.rmtree(tmp_path / "spool")
    files.partial = None
    spool.check_space()
    put_numbers(spool, 3, 7)

    assert 6 == spool.last_seq
