"""Rejected rows: the format of ``rejected/``, written, read, rewritten and moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_handler.errors import DataError, SpoolError
from audit_handler.spool import DiskFiles, Reason, RejectedRows
from tests.support.disks import RefusingFiles
from tests.support.spools import make_spool


def test_rejected_rows_are_no_writer(tmp_path: Path) -> None:
    spool = make_spool(tmp_path)
    path = spool.rejected.write("w", 1, 1, b"{}\n", [])

    assert spool.adopt() == 0
    assert path is not None
    assert path.read_bytes() == b"{}\n"
    assert path.parent == tmp_path / "rejected"


ROWS = b'{"writer_id":"w","seq":2}\n{"writer_id":"w","seq":5}\n'
REASONS = [Reason(seq=2, code=27, text="no number"), Reason(seq=5, code=53, text="no date")]


@pytest.fixture
def rejected(tmp_path: Path) -> RejectedRows:
    return RejectedRows(DiskFiles(), tmp_path / "target")


def names(rejected: RejectedRows) -> list[str]:
    return sorted(path.name for path in rejected.directory.iterdir())


def test_a_batch_is_two_files_named_after_the_segment(rejected: RejectedRows) -> None:
    batch = rejected.write("w", 1, 9, ROWS, REASONS)

    assert ["w-1-9.error.json", "w-1-9.ndjson"] == names(rejected)
    assert "target/rejected/w-1-9.ndjson" == "/".join(batch.parts[-3:])
    assert ROWS == batch.read_bytes()
    assert (
        '{\n "rows": [\n  {\n   "seq": 2,\n   "code": 27,\n   "reason": "no number"\n  },\n'
        '  {\n   "seq": 5,\n   "code": 53,\n   "reason": "no date"\n  }\n ]\n}'
    ) == batch.with_suffix(".error.json").read_text()


def test_a_batch_is_read_as_it_was_written(rejected: RejectedRows) -> None:
    batch = rejected.write("w", 1, 9, ROWS, REASONS)

    assert [batch] == rejected.batches()
    assert ROWS == rejected.read(batch)
    assert {2: "no number", 5: "no date"} == rejected.reasons(batch)


def test_before_the_first_batch_there_is_none_and_no_directory(rejected: RejectedRows) -> None:
    assert [] == rejected.batches()
    assert not rejected.directory.exists()


def test_the_reasons_are_on_the_disk_before_the_rows(tmp_path: Path) -> None:
    """A crash in between leaves reasons without rows, which are ignored; never the reverse."""

    class Full(DiskFiles):
        def rename(self, old: Path, new: Path) -> None:
            if new.suffix == ".ndjson":
                raise OSError(28, "No space left on device")
            super().rename(old, new)

    rejected = RejectedRows(Full(), tmp_path)
    with pytest.raises(OSError, match="No space"):
        rejected.write("w", 1, 9, ROWS, REASONS)

    assert (tmp_path / "rejected" / "w-1-9.error.json").exists()
    assert [] == rejected.batches()
    again = RejectedRows(DiskFiles(), tmp_path)
    again.write("w", 1, 9, ROWS, REASONS)
    assert 1 == len(again.batches())


@pytest.mark.parametrize("is_synced", [False, True])
def test_a_batch_is_synced_on_request(tmp_path: Path, is_synced: bool) -> None:
    disk = RefusingFiles()
    RejectedRows(disk, tmp_path, is_synced=is_synced).write("w", 1, 9, ROWS, REASONS)

    assert is_synced == (tmp_path in disk.synced)
    assert is_synced == (tmp_path / "rejected" in disk.synced)


@pytest.mark.parametrize("content", [None, b"{", b"[]", b'{"rows":[1]}', b'{"rows":[{}]}'])
def test_reasons_that_are_missing_or_damaged_are_none(
    rejected: RejectedRows, content: bytes | None
) -> None:
    batch = rejected.write("w", 1, 9, ROWS, REASONS)
    reasons = batch.with_suffix(".error.json")
    if content is None:
        reasons.unlink()
    else:
        reasons.write_bytes(content)

    assert {} == rejected.reasons(batch)


def test_the_remaining_rows_of_a_batch_replace_it(rejected: RejectedRows) -> None:
    batch = rejected.write("w", 1, 9, ROWS, REASONS)
    rejected.rewrite_reasons(batch, [Reason(seq=5, code=27, text="still none")])
    rejected.rewrite_rows(batch, ROWS.splitlines(keepends=True)[1])

    assert {5: "still none"} == rejected.reasons(batch)
    assert b'{"writer_id":"w","seq":5}\n' == rejected.read(batch)


@pytest.mark.parametrize("has_reasons", [True, False])
def test_a_batch_is_removed_with_its_reasons(rejected: RejectedRows, has_reasons: bool) -> None:
    batch = rejected.write("w", 1, 9, ROWS, REASONS)
    if not has_reasons:
        batch.with_suffix(".error.json").unlink()
    rejected.remove(batch)

    assert [] == names(rejected)


def test_a_part_exists_only_inside_its_block(rejected: RejectedRows) -> None:
    with rejected.part(b"{}\n") as path:
        content = path.read_bytes()
        batches = rejected.batches()

    assert b"{}\n" == content
    assert [] == batches
    assert [] == names(rejected)


def test_a_second_replay_raises_until_the_first_has_ended(rejected: RejectedRows) -> None:
    rejected.write("w", 1, 9, ROWS, REASONS)
    with (
        rejected.locked(),
        pytest.raises(SpoolError, match="another replay is running"),
        rejected.locked(),
    ):
        pass
    with rejected.locked():
        pass


def test_batches_move_to_another_target_with_their_reasons(
    rejected: RejectedRows, tmp_path: Path
) -> None:
    rejected.write("w", 1, 9, ROWS, REASONS)
    rejected.write("w", 10, 19, ROWS, REASONS)
    other = RejectedRows(DiskFiles(), tmp_path / "other")
    (tmp_path / "other").mkdir()
    moved = rejected.move_to(other)

    assert 4 == moved
    assert ["w-1-9.ndjson", "w-10-19.ndjson"] == [path.name for path in other.batches()]
    assert {2: "no number", 5: "no date"} == other.reasons(other.batches()[0])
    assert ["lock"] == names(rejected)
    rejected.remove_directory_if_empty()
    assert not rejected.directory.exists()


def test_without_batches_nothing_moves_and_nothing_is_created(
    rejected: RejectedRows, tmp_path: Path
) -> None:
    assert 0 == rejected.move_to(RejectedRows(DiskFiles(), tmp_path / "other"))
    assert [] == list(tmp_path.iterdir())


def test_a_directory_with_batches_is_not_removed(rejected: RejectedRows) -> None:
    rejected.write("w", 1, 9, ROWS, REASONS)
    rejected.remove_directory_if_empty()

    assert 1 == len(rejected.batches())


@pytest.mark.parametrize("cause", [None, ValueError("of the server")])
def test_a_reason_is_the_servers_own_message_if_there_is_one(cause: ValueError | None) -> None:
    error = DataError("ours", code=27)
    error.__cause__ = cause

    assert Reason(seq=7, code=27, text=str(cause or "ours")) == Reason.of(7, error)
