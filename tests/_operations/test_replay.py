"""Rejected rows are sent again, one by one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit_handler._operations.replay import Replayed, replay
from audit_handler.errors import DataError, SpoolError, TransientError, ViewError
from audit_handler.spool import DiskFiles
from tests.support.doubles import ScriptedDestination


def test_replay_gives_chdb_a_file_to_read_in_place(tmp_path: Path) -> None:
    """
    Its driver would write the row to the temporary directory, and a kill would leave it there.
    """
    destination = ScriptedDestination()
    (tmp_path / "rejected").mkdir()
    (tmp_path / "rejected" / "w-1-1.ndjson").write_text('{"writer_id":"w","seq":1}\n')
    replay(DiskFiles(), tmp_path, destination)

    assert ["w:1-1"] == destination.tokens
    assert [tmp_path / "rejected" / "replay.part"] == destination.paths
    assert ["lock"] == [path.name for path in (tmp_path / "rejected").iterdir()]


def test_a_server_needs_no_file(tmp_path: Path) -> None:
    destination = ScriptedDestination()
    destination.reads_files = False
    reject(tmp_path, 1)
    replay(DiskFiles(), tmp_path, destination)

    assert [None] == destination.paths


def reject(directory: Path, *numbers: int) -> Path:
    """Leave rows as delivery leaves those that ClickHouse rejected."""
    rejected = directory / "rejected"
    rejected.mkdir(exist_ok=True)
    path = rejected / f"w-{numbers[0]}-{numbers[-1]}.ndjson"
    path.write_text("".join(f'{{"writer_id":"w","seq":{number}}}\n' for number in numbers))
    path.with_suffix(".error.json").write_text('{"rows": []}')
    return path


def test_without_rejected_rows_nothing_is_done(tmp_path: Path) -> None:
    destination = ScriptedDestination()

    assert Replayed(stored=0, known=0, refused=0) == replay(DiskFiles(), tmp_path, destination)
    assert [] == list(tmp_path.iterdir())


def test_rows_are_stored_known_or_rejected_again_and_counted(tmp_path: Path) -> None:
    path = reject(tmp_path, 1, 2, 3)
    destination = ScriptedDestination()
    destination.rows[b'{"writer_id":"w","seq":1}'] = None
    destination.refuse = lambda lines: DataError("code 469", code=469) if b":3}" in lines else None
    found = replay(DiskFiles(), tmp_path, destination)
    reasons = json.loads(path.with_suffix(".error.json").read_text())

    assert Replayed(stored=1, known=1, refused=1) == found
    assert ["w:2-2", "w:3-3"] == destination.tokens
    assert '{"writer_id":"w","seq":3}\n' == path.read_text()
    assert {"rows": [{"seq": 3, "code": 469, "reason": "code 469"}]} == reasons


def test_rows_that_are_stored_leave_their_file_when_clickhouse_goes_away(tmp_path: Path) -> None:
    path = reject(tmp_path, 1, 2, 3)
    destination = ScriptedDestination(None, TransientError("away"))
    with pytest.raises(TransientError):
        replay(DiskFiles(), tmp_path, destination)
    left = path.read_text()
    found = replay(DiskFiles(), tmp_path, destination)

    assert [2, 3] == [json.loads(line)["seq"] for line in left.splitlines()]
    assert Replayed(stored=2, known=0, refused=0) == found
    assert ["lock"] == [each.name for each in path.parent.iterdir()]


def test_a_second_replay_raises_and_changes_nothing(tmp_path: Path) -> None:
    path = reject(tmp_path, 1)
    lock = DiskFiles().lock(path.parent / "lock")
    assert lock is not None
    try:
        with pytest.raises(SpoolError, match="another replay is running"):
            replay(DiskFiles(), tmp_path, ScriptedDestination())
    finally:
        lock.release()

    assert path.exists()


@pytest.mark.parametrize("can_look_up", [True, False])
def test_a_row_that_names_a_view_itself_stays_with_its_reason(
    tmp_path: Path, can_look_up: bool
) -> None:
    """Only an insert that ignores views shows that it is no view's fault."""
    path = reject(tmp_path, 1)
    named = ViewError("code 691", code=691, view="d.v", may_be_forged=True)
    destination = ScriptedDestination(named, DataError("code 691", code=691))
    destination.can_look_up = can_look_up

    assert Replayed(stored=0, known=0, refused=1) == replay(DiskFiles(), tmp_path, destination)
    assert path.exists()
    assert ["w:1-1", "w:1-1"] == destination.tokens
