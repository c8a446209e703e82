"""The spool: what is put comes out once, in order, and survives whatever ends the process."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit_handler._clock import SystemClock
from audit_handler._ids import new_writer_id
from audit_handler.errors import SpoolClosed, SpoolFull, SpoolUnavailable
from audit_handler.spool import (
    DiskFiles,
    MemoryFiles,
    Segment,
    Spool,
    has_leftovers,
    neglected_targets,
)
from tests.support.doubles import SteppingClock
from tests.support.spools import MONTH, leave_behind, make_spool, numbers, put_numbers, take_all


@pytest.fixture(params=["disk", "memory"])
def spool(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Spool]:
    """The same behaviour is expected of both kinds."""
    files = DiskFiles() if request.param == "disk" else MemoryFiles()
    spool = make_spool(tmp_path / "target", files=files)
    yield spool
    spool.close()


def test_rows_come_out_in_the_order_they_were_put(spool: Spool) -> None:
    put_numbers(spool, 1, 10)

    assert list(range(1, 11)) == take_all(spool)


def test_a_line_carries_the_writer_and_counts_from_one(spool: Spool) -> None:
    put_numbers(spool, 7, 9)
    segment = spool.get(0.0)
    assert segment is not None
    lines = [json.loads(line) for line in spool.files.read(segment.path).splitlines()]

    assert [
        {"writer_id": segment.writer_id, "seq": seq, "n": seq + 6} for seq in (1, 2, 3)
    ] == lines


def test_a_full_segment_is_ready_at_once_and_says_which_rows_it_has(spool: Spool) -> None:
    put_numbers(spool, 1, 6)
    spool.get(0.0)
    spool.task_done()

    segment = spool.get(0.0)

    assert segment is not None
    assert (segment.first_seq, segment.last_seq, segment.rows) == (4, 6, 3)
    assert segment.size == len(spool.files.read(segment.path))


def test_an_open_segment_is_sealed_when_it_is_old_enough(spool: Spool) -> None:
    put_numbers(spool, 1, 1)

    assert spool.get(4.9) is None
    segment = spool.get(0.2)
    assert segment is not None
    assert numbers(spool, segment) == [1]


def test_an_open_segment_grows_while_there_is_something_else_to_send(tmp_path: Path) -> None:
    """After an outage of hours there are full segments, not one for every flush interval."""
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


def test_a_segment_never_exceeds_its_bytes(tmp_path: Path) -> None:
    spool = make_spool(tmp_path, batch_size=10_000, batch_bytes=10_000)
    for _ in range(50):
        spool.put(b'{"x":"%b"}' % (b"y" * 900), MONTH)
    sizes = []
    while segment := spool.get(10.0):
        sizes.append(segment.size)
        spool.task_done()

    assert max(sizes) <= 10_000
    assert 5 <= len(sizes) <= 6


def test_a_segment_has_rows_of_one_month(spool: Spool) -> None:
    """One segment is one part in ClickHouse: its table has a partition for each month."""
    spool.put(b'{"n":1}', "2026-11")
    spool.put(b'{"n":2}', "2026-12")
    segment = spool.get(0.0)
    assert segment is not None

    assert numbers(spool, segment) == [1]


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


def test_flush_seals_and_tells_when_all_is_done(spool: Spool) -> None:
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


def test_a_full_spool_refuses_and_takes_again_when_there_is_room(spool: Spool) -> None:
    spool._intake._max_bytes = 400
    with pytest.raises(SpoolFull, match="max_spool_bytes=400"):
        put_numbers(spool, 1, 100)
    before = take_all(spool)
    put_numbers(spool, 1000, 1000)

    assert list(range(1, len(before) + 1)) == before
    assert take_all(spool) == [1000]


def test_a_refused_row_leaves_no_gap_in_seq(spool: Spool) -> None:
    spool.put(b'{"n":1}', MONTH)
    spool._intake._max_bytes = 10
    with pytest.raises(SpoolFull):
        spool.put(b'{"n":2}', MONTH)
    spool._intake._max_bytes = 10**9
    spool.put(b'{"n":3}', MONTH)
    segment = spool.get(10.0)
    assert segment is not None
    seqs = [json.loads(line)["seq"] for line in spool.files.read(segment.path).splitlines()]

    assert seqs == [1, 2]


def test_a_blocked_put_goes_on_when_there_is_room(tmp_path: Path) -> None:
    spool = make_spool(tmp_path, clock=SystemClock(), max_bytes=300)
    put_numbers(spool, 1, 3)
    blocked = threading.Thread(
        target=lambda: spool.put(b'{"n":4,"x":"%b"}' % (b"y" * 100), MONTH, timeout=60.0)
    )
    blocked.start()
    assert spool.get(60.0) is not None
    spool.task_done()
    blocked.join(60.0)
    spool.wake(closing=True)

    assert take_all(spool) == [4]


def test_a_blocked_put_ends_at_its_bound(tmp_path: Path) -> None:
    clock = SteppingClock()
    spool = make_spool(tmp_path, clock=clock, max_bytes=60)
    put_numbers(spool, 1, 1)
    began = clock.now

    with pytest.raises(SpoolFull):
        spool.put(b'{"n":2}', MONTH, timeout=10.0)
    assert clock.now == pytest.approx(began + 10.0)


def test_a_closed_spool_takes_nothing(spool: Spool) -> None:
    spool.close()

    with pytest.raises(SpoolClosed):
        spool.put(b"{}", MONTH)


def test_close_leaves_nothing_behind_when_nothing_waits(tmp_path: Path) -> None:
    spool = make_spool(tmp_path / "target")
    put_numbers(spool, 1, 4)
    take_all(spool)

    spool.close()

    assert list((tmp_path / "target").iterdir()) == []


def test_files_are_for_the_user_alone(tmp_path: Path) -> None:
    spool = make_spool(tmp_path / "spool" / "target")
    put_numbers(spool, 1, 4)
    modes = {
        path.relative_to(tmp_path): stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "spool").rglob("*")
    }

    assert {0o600} == {mode for path, mode in modes.items() if (tmp_path / path).is_file()}
    assert {0o700} == {mode for path, mode in modes.items() if (tmp_path / path).is_dir()}
    assert len(modes) == 5  # target, writer, lock, a sealed and an open segment


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


# What goes wrong with the disk


class FaultyFiles(DiskFiles):
    """A disk that, when told to, writes *partial* bytes of a row and then refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.partial: int | None = None

    def write(self, handle: int, data: bytes) -> int:  # type: ignore[override]
        if self.partial is None:
            return os.write(handle, data)
        if self.partial:
            written = os.write(handle, data[: self.partial])
            self.partial = 0
            return written
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("partial", [0, 1, 20])
def test_a_full_disk_costs_the_row_and_leaves_no_torn_line(tmp_path: Path, partial: int) -> None:
    files = FaultyFiles()
    spool = make_spool(tmp_path, files=files)
    put_numbers(spool, 1, 1)
    files.partial = partial
    with pytest.raises(SpoolUnavailable, match="No space left"):
        put_numbers(spool, 2, 2)
    files.partial = None
    put_numbers(spool, 3, 3)

    assert take_all(spool) == [1, 3]


def test_after_a_refusal_the_disk_is_probed_until_it_takes_writes_again(tmp_path: Path) -> None:
    """Who asks first, and is told no, puts nothing: without a probe the answer would stay no."""
    files = FaultyFiles()
    spool = make_spool(tmp_path, files=files)
    files.partial = 0
    with pytest.raises(SpoolUnavailable):
        put_numbers(spool, 1, 1)
    with pytest.raises(SpoolUnavailable):
        spool.check_room()
    files.partial = None
    spool.check_room()
    put_numbers(spool, 2, 2)

    assert [2] == take_all(spool)


@pytest.mark.parametrize("fsync", ["never", "always"])
def test_a_removed_directory_is_made_again_and_held(tmp_path: Path, fsync: str) -> None:
    """What was in it is lost, as the listener will report; what comes after is not."""
    spool = make_spool(tmp_path / "spool" / "target", fsync=fsync)
    put_numbers(spool, 1, 3)
    shutil.rmtree(tmp_path / "spool")
    put_numbers(spool, 4, 6)
    other = make_spool(tmp_path / "spool" / "target")
    removed, there = spool.get(0.0), spool.get(0.0)
    assert removed
    assert there

    assert (1, 4) == (removed.first_seq, there.first_seq)
    assert not removed.path.exists()
    assert [4, 5, 6] == numbers(spool, there)
    assert 0 == other.adopt()
    assert 0o700 == stat.S_IMODE(there.path.parent.stat().st_mode)


def test_a_directory_that_is_removed_while_the_disk_refuses_does_not_close_the_spool_for_good(
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
    spool.check_room()
    put_numbers(spool, 3, 7)

    assert 6 == spool.last_seq


def test_a_directory_that_cannot_be_made_is_named_with_the_remedy(tmp_path: Path) -> None:
    target = tmp_path / "target"
    spool = make_spool(target)
    target.rmdir()
    target.write_text("a file where a directory should be")

    with pytest.raises(SpoolUnavailable, match=r"spool_dir.*writable local directory"):
        put_numbers(spool, 1, 1)


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_new_directory_that_is_taken_for_a_dead_writers_is_no_loss(
    tmp_path: Path, is_removed: bool
) -> None:
    """Found by the suite on Python 3.12: our own listener looked between the mkdir and the lock."""

    class ContendedFiles(DiskFiles):
        robbed: int = 0

        def lock(self, path: Path) -> Any:
            if self.robbed < 3:
                self.robbed += 1
                if is_removed:
                    path.parent.rmdir()
                else:
                    return None
            return super().lock(path)

    files = ContendedFiles()
    spool = make_spool(tmp_path, files=files)
    put_numbers(spool, 1, 2)

    assert [1, 2] == take_all(spool)
    assert files.robbed == 3


# Recovery


def test_rows_of_a_dead_process_are_adopted_oldest_first(tmp_path: Path) -> None:
    first, second = make_spool(tmp_path), make_spool(tmp_path)
    put_numbers(first, 1, 5)
    put_numbers(second, 6, 7)
    leave_behind(second)
    leave_behind(first)
    heir = make_spool(tmp_path)
    put_numbers(heir, 8, 8)

    assert heir.adopt() == 7
    assert list(range(1, 9)) == take_all(heir)


def test_rows_of_a_living_process_are_left_alone(tmp_path: Path) -> None:
    living, other = make_spool(tmp_path), make_spool(tmp_path)
    put_numbers(living, 1, 5)

    assert other.adopt() == 0
    assert list(range(1, 6)) == take_all(living)


@pytest.mark.parametrize("torn", [b'{"writer_id":"x","seq":5,"n"', b"{", b""])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    dead = make_spool(tmp_path)
    put_numbers(dead, 1, 4)
    (opened,) = tmp_path.rglob("*.open")
    with opened.open("ab") as file:
        file.write(torn)
    leave_behind(dead)
    heir = make_spool(tmp_path)

    assert heir.adopt() == 4
    assert take_all(heir) == [1, 2, 3, 4]


def test_an_adopted_segment_remembers_that_it_was_attempted(tmp_path: Path) -> None:
    dead = make_spool(tmp_path)
    put_numbers(dead, 1, 6)
    segment = dead.get(0.0)
    assert segment is not None
    dead.taken.attempting(segment)
    leave_behind(dead)
    heir = make_spool(tmp_path)
    heir.adopt()
    attempted = []
    while adopted := heir.get(0.0):
        attempted.append(adopted.was_attempted)
        heir.task_done()

    assert attempted == [True, False]


def test_the_directory_of_a_dead_process_goes_when_its_rows_are_delivered(tmp_path: Path) -> None:
    dead = make_spool(tmp_path)
    put_numbers(dead, 1, 4)
    dead.taken.helper_file(
        Segment(
            writer_id="",
            first_seq=1,
            rows=1,
            size=1,
            since=0.0,
            path=next(tmp_path.rglob("*.open")),
        ),
        "part.ndjson",
        b"left by an insert that was under way",
    )
    leave_behind(dead)
    heir = make_spool(tmp_path)
    heir.adopt()
    take_all(heir)

    assert list(tmp_path.iterdir()) == []


def test_adopted_rows_that_are_not_delivered_go_to_the_next(tmp_path: Path) -> None:
    dead, heir, next_heir = (make_spool(tmp_path) for _ in range(3))
    put_numbers(dead, 1, 4)
    leave_behind(dead)
    heir.adopt()
    assert heir.get(0.0) is not None
    heir.close()

    assert next_heir.adopt() == 4
    assert take_all(next_heir) == [1, 2, 3, 4]


def test_set_aside_rows_are_no_writer(tmp_path: Path) -> None:
    spool = make_spool(tmp_path)
    path = spool.rejected.write("w", 1, 1, b"{}\n", [])

    assert spool.adopt() == 0
    assert path.read_bytes() == b"{}\n"
    assert path.parent == tmp_path / "rejected"


@pytest.mark.parametrize("seed", range(20))
def test_the_spool_does_what_a_list_would_do(tmp_path: Path, seed: int) -> None:
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


def test_links_in_the_spool_are_not_followed(tmp_path: Path) -> None:
    """Somebody who may write there could otherwise have any file sent, cut or removed."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "00000000000000000001.ready").write_bytes(b'{"secret":1}\ntorn')
    target = tmp_path / "target"
    dead = make_spool(target)
    put_numbers(dead, 1, 1)
    leave_behind(dead)
    (target / new_writer_id()).symlink_to(elsewhere)
    (next(target.glob("*/lock")).parent / "00000000000000000009.ready").symlink_to(
        elsewhere / "00000000000000000001.ready"
    )
    heir = make_spool(target)

    assert heir.adopt() == 1
    assert [1] == take_all(heir)
    assert [b'{"secret":1}\ntorn'] == [path.read_bytes() for path in elsewhere.iterdir()]


@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES])
def test_a_dead_writer_that_cannot_be_read_holds_up_no_other(
    error: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class BadSector(DiskFiles):
        def read(self, path: Path, *, is_synced: bool = False) -> bytes:
            if bad in path.parents:
                raise OSError(error, os.strerror(error), str(path))
            return super().read(path, is_synced=is_synced)

    first, second = make_spool(tmp_path), make_spool(tmp_path)
    for spool in (first, second):
        put_numbers(spool, 1, 2)
        leave_behind(spool)
    assert first._intake.writer is not None
    bad = first._intake.writer.directory.path
    heir = make_spool(tmp_path, files=BadSector())
    adopted = [heir.adopt(), heir.adopt()]

    assert [2, 0] == adopted
    assert 1 == caplog.text.count("cannot be read")
    assert make_spool(tmp_path).adopt() == 2


def test_a_segment_that_cannot_be_read_holds_up_no_other_of_its_writer(tmp_path: Path) -> None:
    class BadSector(DiskFiles):
        is_bad = True

        def read(self, path: Path, *, is_synced: bool = False) -> bytes:
            if self.is_bad and path.stem.endswith("01"):
                raise OSError(errno.EIO, "Input/output error", str(path))
            return super().read(path, is_synced=is_synced)

    dead, files = make_spool(tmp_path), BadSector()
    put_numbers(dead, 1, 9)
    leave_behind(dead)
    heir = make_spool(tmp_path, files=files)
    heir.adopt()
    taken = take_all(heir)
    files.is_bad = False
    heir.adopt()

    assert [4, 5, 6, 7, 8, 9] == taken
    assert [1, 2, 3] == take_all(heir)


@pytest.mark.skipif(os.name == "nt", reason="no such owners on this system")
def test_a_directory_that_somebody_else_has_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They could have put rows of dead writers there, to be stored as this application's."""
    (tmp_path / "target").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: (tmp_path / "target").stat().st_uid + 1)
    # Root's is as good as one's own, and root runs these tests in containers.
    real = os.stat_result
    monkeypatch.setattr(
        Path, "lstat", lambda path: real([*path.stat()[:4], 12_345, *path.stat()[5:10]])
    )

    with pytest.raises(PermissionError, match="another user, uid 12345"):
        DiskFiles().make_directory(tmp_path / "target")


def test_a_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "target").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="it is a link"):
        make_spool(tmp_path / "target")
    spool = make_spool(tmp_path / "other")
    (tmp_path / "other" / "rejected").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="it is a link"):
        spool.rejected.write("w", 1, 1, b"{}\n", [])

    assert [] == list((tmp_path / "elsewhere").iterdir())


def test_what_is_not_named_like_a_writers_is_left_alone(tmp_path: Path) -> None:
    """A copy that somebody made would be stored twice, and what they keep beside it removed."""
    dead = make_spool(tmp_path)
    put_numbers(dead, 1, 3)
    leave_behind(dead)
    assert dead._intake.writer is not None
    directory = dead._intake.writer.directory.path
    shutil.copytree(directory, tmp_path / "backup")
    shutil.copy(
        directory / "00000000000000000001.ready", directory / "00000000000000000001 (copy).ready"
    )
    (directory / "notes.txt").write_text("keep me")
    heir = make_spool(tmp_path)

    assert 3 == heir.adopt()
    assert [1, 2, 3] == take_all(heir)
    assert "keep me" == (directory / "notes.txt").read_text()
    assert (tmp_path / "backup" / "00000000000000000001.ready").exists()


def test_a_segment_with_a_hole_is_set_aside_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A power loss may leave a block of zeros: rows behind it are not those that they seem."""
    dead = make_spool(tmp_path)
    put_numbers(dead, 1, 6)
    leave_behind(dead)
    assert dead._intake.writer is not None
    first, second = sorted(dead._intake.writer.directory.path.glob("*.ready"))
    content = first.read_bytes()
    line = len(content) // 3
    first.write_bytes(content[:line] + bytes(line) + content[2 * line :])
    heir = make_spool(tmp_path)

    assert 3 == heir.adopt()
    assert [4, 5, 6] == take_all(heir)
    assert "is damaged" in caplog.text
    assert first.with_suffix(".unreadable").exists()
    assert not second.exists()


def test_a_lock_in_memory_is_held_by_one(tmp_path: Path) -> None:
    """A spool that was closed in the middle of a request still holds what the next one finds."""
    files = MemoryFiles()
    lock = files.lock(tmp_path / "lock")
    assert lock is not None
    is_taken = files.lock(tmp_path / "lock") is None
    lock.release()

    assert is_taken
    assert files.lock(tmp_path / "lock") is not None


def test_a_writer_that_cannot_seal_lets_go_of_its_rows(tmp_path: Path) -> None:
    class ReadOnly(DiskFiles):
        is_broken = False

        def rename(self, old: Path, new: Path) -> None:
            if self.is_broken:
                raise OSError(30, "Read-only file system")
            super().rename(old, new)

    files = ReadOnly()
    spool = make_spool(tmp_path, files=files)
    put_numbers(spool, 1, 2)
    files.is_broken = True
    spool.close()
    files.is_broken = False
    heir = make_spool(tmp_path, files=files)

    assert 2 == heir.adopt()
    assert [1, 2] == take_all(heir)


def test_what_was_set_aside_is_not_looked_into_again(tmp_path: Path) -> None:
    """Every process locked its directory, every five seconds, for ever."""
    directory = tmp_path / new_writer_id()
    directory.mkdir()
    (directory / "00000000000000000001.unreadable").write_bytes(b"{}\n")
    heir = make_spool(tmp_path)

    assert 0 == heir.adopt()
    assert ["00000000000000000001.unreadable"] == [path.name for path in directory.iterdir()]
    assert not has_leftovers(DiskFiles(), tmp_path)


def test_a_lock_of_another_target_that_cannot_be_opened_is_passed_over(tmp_path: Path) -> None:
    other = tmp_path / "other" / new_writer_id()
    other.mkdir(parents=True)
    (other / "lock").symlink_to(other / "lock")
    (other / "00000000000000000001.ready").write_bytes(b"{}\n")

    assert [] == neglected_targets(DiskFiles(), tmp_path / "target")
