"""``fsync="always"``: a row is on the disk when its call returns, or the call raises."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from audit_handler.errors import SpoolUnsynced
from audit_handler.spool import DiskFiles
from tests.support.disks import InterruptedFiles, RefusingFiles
from tests.support.spools import make_spool, put_numbers, take_all


def test_with_fsync_always_concurrent_callers_share_one_sync(tmp_path: Path) -> None:
    """
    Seven rows are written during the sync of the first one: the second sync covers all of them.

    A caller duplicates the handle once its row is counted, so a sync that begins when all eight
    have done so covers all rows. Their writes are no proof: a row may not be counted yet.
    """

    class SlowDisk(DiskFiles):
        def __init__(self) -> None:
            super().__init__()
            self.syncs = 0
            self.is_syncing, self.may_end = threading.Event(), threading.Event()
            self.counted = threading.Semaphore(0)

        def duplicate(self, handle: int) -> int:
            self.counted.release()
            return super().duplicate(handle)

        def sync(self, handle: int) -> None:  # noqa: ARG002
            self.syncs += 1
            self.is_syncing.set()
            assert self.may_end.wait(60.0)

    disk = SlowDisk()
    spool = make_spool(tmp_path, files=disk, fsync="always", batch_size=100)
    callers = [threading.Thread(target=put_numbers, args=(spool, n, n)) for n in range(8)]
    callers[0].start()
    assert disk.is_syncing.wait(60.0)
    for caller in callers[1:]:
        caller.start()
    for _ in callers:
        assert disk.counted.acquire(timeout=60.0)
    disk.may_end.set()
    for caller in callers:
        caller.join(60.0)

    assert disk.syncs == 2


def test_with_fsync_always_a_row_is_synced_before_put_returns(tmp_path: Path) -> None:
    class SizingFiles(DiskFiles):
        synced_bytes = 0

        def sync(self, handle: int) -> None:
            self.synced_bytes = self.size(handle)
            super().sync(handle)

    files = SizingFiles()
    spool = make_spool(tmp_path, files=files, fsync="always")
    for number in (1, 2):
        put_numbers(spool, number, number)
        assert files.synced_bytes == spool.waiting_bytes


def test_a_row_that_is_not_synced_is_accepted_and_reported(tmp_path: Path) -> None:
    """
    The row was reported as dropped but was stored: a caller that logged it again stored it twice.
    """
    disk = RefusingFiles()
    spool = make_spool(tmp_path, files=disk, fsync="always", batch_size=100)
    put_numbers(spool, 1, 1)
    disk.files = 1
    with pytest.raises(SpoolUnsynced, match="is written"):
        put_numbers(spool, 2, 2)

    # In another segment: for the first one, the kernel reports the next sync as a success.
    put_numbers(spool, 3, 3)
    first = spool.get(0.0)
    assert first is not None
    assert (1, 2) == (first.first_seq, first.last_seq)
    spool.task_done()
    assert [3] == take_all(spool)


def test_a_seal_that_cannot_sync_reports_its_rows(tmp_path: Path) -> None:
    """The kernel reports it once: the row that filled the batch was reported as synced."""
    disk = RefusingFiles()
    spool = make_spool(tmp_path, files=disk, fsync="always", batch_size=2)
    put_numbers(spool, 1, 1)
    disk.files = 1
    with pytest.raises(SpoolUnsynced):
        put_numbers(spool, 2, 2)
    put_numbers(spool, 3, 3)

    assert [1, 2, 3] == take_all(spool)


@pytest.mark.parametrize("moment", ["before sync", "before duplicate"])
def test_a_row_put_on_top_of_a_sync_is_synced_too(tmp_path: Path, moment: str) -> None:
    """With a lock that is not reentrant, the process hung forever."""
    files = InterruptedFiles()
    spool = make_spool(tmp_path, files=files, fsync="always", batch_size=100)
    files.interruptions[moment] = lambda: put_numbers(spool, 2, 2)
    caller = threading.Thread(target=put_numbers, args=(spool, 1, 1), daemon=True)
    caller.start()
    caller.join(60.0)

    assert not caller.is_alive()
    assert 2 == spool._intake.group_commit._synced_seq
    assert [1, 2] == take_all(spool)
