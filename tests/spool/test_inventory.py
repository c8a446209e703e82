"""The inventory: waiting and rejected rows, read without a change."""

from __future__ import annotations

from pathlib import Path

from audit_handler.spool import DiskFiles, Reason, RejectedRows, rejected, spooled_rows, waiting
from tests.support.spools import leave_behind, make_spool, put_numbers


def everything(directory: Path) -> dict[str, bytes]:
    """Return each file below *directory* with its content."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def test_each_writer_is_listed_with_its_rows_and_whether_it_lives(tmp_path: Path) -> None:
    living, dead = make_spool(tmp_path / "one"), make_spool(tmp_path / "two")
    put_numbers(living, 1, 4)
    put_numbers(dead, 5, 5)
    leave_behind(dead)
    (tmp_path / "two" / "not-a-writer").mkdir()
    before = everything(tmp_path)
    first, second = waiting(DiskFiles(), tmp_path)

    assert ("one", living.writer_id, True) == (first.target, first.writer_id, first.is_alive)
    assert (2, 4, living.waiting_bytes) == (first.segments, first.rows, first.bytes)
    assert ("two", dead.writer_id, False) == (second.target, second.writer_id, second.is_alive)
    assert before == everything(tmp_path)


def test_a_directory_without_a_lock_file_is_dead_and_stays_without(tmp_path: Path) -> None:
    spool = make_spool(tmp_path / "target")
    put_numbers(spool, 1, 1)
    leave_behind(spool)
    (lock,) = tmp_path.rglob("lock")
    lock.unlink()
    (writer,) = waiting(DiskFiles(), tmp_path)

    assert not writer.is_alive
    assert not lock.exists()


def test_a_torn_row_is_not_counted(tmp_path: Path) -> None:
    spool = make_spool(tmp_path / "target")
    put_numbers(spool, 1, 2)
    (opened,) = tmp_path.rglob("*.open")
    with opened.open("ab") as file:
        file.write(b'{"writer_id":')
    (writer,) = waiting(DiskFiles(), tmp_path)

    assert 2 == writer.rows


def test_rejected_batches_are_listed_with_their_reasons(tmp_path: Path) -> None:
    rows = RejectedRows(DiskFiles(), tmp_path / "target")
    path = rows.write(
        "w", 1, 9, b'{"seq":2}\n{"seq":5}\n', [Reason(seq=2, code=27, text="no number")]
    )
    (tmp_path / "a-file").touch()
    (batch,) = rejected(DiskFiles(), tmp_path)

    assert ("target", path, 2) == (batch.target, batch.path, batch.rows)
    assert {2: "no number"} == batch.reasons
    assert batch.bytes == sum(each.stat().st_size for each in path.parent.iterdir())


def test_waiting_rows_come_before_rejected_ones(tmp_path: Path) -> None:
    spool = make_spool(tmp_path / "target")
    put_numbers(spool, 1, 2)
    reason = Reason(seq=7, code=27, text="no number")
    spool.rejected.write("w", 7, 7, b'{"seq":7}\n\xff\n', [reason])
    rows = list(spooled_rows(DiskFiles(), tmp_path))

    assert [1, 2, 7, None] == [each.row.get("seq") for each in rows]
    assert [(False, ""), (False, ""), (True, "no number"), (True, "")] == [
        (each.is_rejected, each.reason) for each in rows
    ]
    assert {"_damaged": "\\xff"} == rows[3].row
