"""Files that another user planted in the spool: none is stored, and no link is followed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit_handler.spool import (
    DiskFiles,
    RejectedRows,
    adopt_dead_writers,
    neglected_targets,
    spooled_rows,
)
from tests.faults.staging import Application, Judge, Lines
from tests.support.loopback import LoopbackClickHouse
from tests.support.spools import make_spool, put_numbers

FOREIGN = "foreign files in the spool"

MakeApplication = Callable[..., Application]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")

ATTACKER = 12_345
SEGMENT = f"{1:020}.ready"
PLANTED = "00000000-0000-7000-8000-00000000dead"
OURS = "00000000-0000-7000-8000-0000000000aa"


def row_of(writer_id: str, seq: int = 1) -> bytes:
    return b'{"writer_id":"%s","seq":%d,"action":"read"}\n' % (writer_id.encode(), seq)


def dead_writer(target: Path, writer_id: str) -> Path:
    """Return the directory of an ended process, with one row."""
    directory = target / writer_id
    directory.mkdir(parents=True, mode=0o700)
    for name, content in (("lock", b""), (SEGMENT, row_of(writer_id))):
        (directory / name).write_bytes(content)
        (directory / name).chmod(0o600)
    return directory


def give_away(directory: Path) -> None:
    for path in (*directory.rglob("*"), directory):
        os.lchown(path, ATTACKER, ATTACKER)


def adopted(target: Path) -> list[str]:
    """Return the writers that are adopted, after their locks were released."""
    found = adopt_dead_writers(DiskFiles(), target)
    for dead, _ in found:
        dead.lock.release()
    return [dead.directory.name for dead, _ in found]


def exported(spool_dir: Path) -> list[dict[str, Any]]:
    return [each.row for each in spooled_rows(DiskFiles(), spool_dir)]


@needs_root
def test_a_writer_directory_of_another_user_is_not_adopted(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    dead_writer(tmp_path / "target", OURS)
    give_away(planted := dead_writer(tmp_path / "target", PLANTED))
    left = sorted(planted.iterdir())

    assert [OURS] == adopted(tmp_path / "target")
    assert [json.loads(row_of(OURS))] == exported(tmp_path)
    assert left == sorted(planted.iterdir())


@needs_root
def test_a_target_of_another_user_is_not_reported_as_neglected(tmp_path: Path) -> None:
    dead_writer(tmp_path / "planted", PLANTED)
    give_away(tmp_path / "planted")

    assert [] == neglected_targets(DiskFiles(), tmp_path / "target")
    assert [] == exported(tmp_path)


def hard_link(segment: Path, secret: Path) -> None:
    os.link(secret, segment)


def symlink(segment: Path, secret: Path) -> None:
    segment.symlink_to(secret)


def fifo(segment: Path, secret: Path) -> None:  # noqa: ARG001  # as the others
    os.mkfifo(segment)


def open_to_all(segment: Path, secret: Path) -> None:
    shutil.copy(secret, segment)
    segment.chmod(0o666)


@pytest.mark.parametrize("plant", [hard_link, symlink, fifo, open_to_all])
def test_a_planted_segment_is_left_alone_and_the_own_rows_go_on(
    tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(row_of(PLANTED))
    own = dead_writer(tmp_path / "spool" / "target", OURS)
    other = own.with_name(PLANTED)
    shutil.copytree(own, other)
    (other / SEGMENT).unlink()
    plant(other / SEGMENT, secret)

    assert [OURS] == adopted(tmp_path / "spool" / "target")
    assert [json.loads(row_of(OURS))] == exported(tmp_path / "spool")
    assert row_of(PLANTED) == secret.read_bytes()
    assert os.path.lexists(other / SEGMENT)


@pytest.mark.parametrize("plant", [hard_link, symlink, fifo])
def test_an_export_follows_nothing_in_rejected(
    tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "secret").write_text("secret\n")
    rejected = RejectedRows(DiskFiles(), tmp_path / "spool" / "target")
    rejected.write(OURS, 1, 1, row_of(OURS), [])
    plant(rejected.directory / "planted.ndjson", tmp_path / "secret")

    assert [json.loads(row_of(OURS))] == exported(tmp_path / "spool")


@needs_root
def test_a_rejected_directory_of_another_user_is_neither_read_nor_written(tmp_path: Path) -> None:
    rejected = RejectedRows(DiskFiles(), tmp_path / "target")
    rejected.directory.mkdir(parents=True)
    (rejected.directory / "planted.ndjson").write_bytes(row_of(PLANTED))
    give_away(rejected.directory)

    assert [] == rejected.batches()
    with pytest.raises(PermissionError, match="another user, uid 12345"):
        rejected.write(OURS, 1, 1, row_of(OURS), [])


@pytest.mark.parametrize("plant", [hard_link, symlink, fifo])
def test_a_planted_lock_is_not_taken(tmp_path: Path, plant: Callable[[Path, Path], None]) -> None:
    (tmp_path / "secret").touch()
    directory = dead_writer(tmp_path / "target", OURS)
    (directory / "lock").unlink()
    plant(directory / "lock", tmp_path / "secret")

    assert [] == adopted(tmp_path / "target")
    assert (directory / SEGMENT).exists()


@needs_root
def test_a_lock_file_of_another_user_is_not_taken(tmp_path: Path) -> None:
    directory = dead_writer(tmp_path / "target", OURS)
    os.chown(directory / "lock", ATTACKER, ATTACKER)

    assert [] == adopted(tmp_path / "target")


def test_a_volume_that_kubernetes_opened_to_its_group_still_works(tmp_path: Path) -> None:
    """With an fsGroup, each mount makes files 0660 and directories 2770."""
    directory = dead_writer(tmp_path / "target", OURS)
    for path in (tmp_path, tmp_path / "target", directory):
        path.chmod(0o2770)
    for path in directory.iterdir():
        path.chmod(0o660)
    put_numbers(make_spool(tmp_path / "target"), 1, 2)

    assert [OURS] == adopted(tmp_path / "target")
    assert 0o700 == (tmp_path / "target").stat().st_mode & 0o777
    assert 0o2770 == tmp_path.stat().st_mode & 0o7777


@needs_root
def test_root_leaves_files_that_the_application_can_use(tmp_path: Path) -> None:
    os.chown(tmp_path, ATTACKER, ATTACKER)
    directory = dead_writer(tmp_path / "target", OURS)
    os.chown(tmp_path / "target", ATTACKER, ATTACKER)
    give_away(directory)
    RejectedRows(DiskFiles(), tmp_path / "target").write(OURS, 1, 1, row_of(OURS), [])

    assert [OURS] == adopted(tmp_path / "target")
    assert {ATTACKER} == {path.lstat().st_uid for path in tmp_path.rglob("*")}


def plant(app: Application, kind: str) -> Path:
    """Plant a row of *kind* beside the writers of the application, and return its path."""
    # Made aside: no process may adopt it before it is foreign.
    spool = app.handler.settings.spool_dir
    assert spool is not None
    aside = dead_writer(spool.with_name("aside"), PLANTED)
    row = row_of(PLANTED).replace(b"}", b',"resource_type":"number","resource_id":"7"}')
    secret = spool.with_name("secret")
    secret.write_bytes(row)
    segment = aside / SEGMENT
    segment.write_bytes(row)
    if kind == "another user's directory":
        give_away(aside)
    elif kind == "another user's file":
        os.chown(segment, ATTACKER, ATTACKER)
    else:
        segment.unlink()
        {"a link": symlink, "a hard link": hard_link}[kind](segment, secret)
    planted = spool / app.handler.settings.target.directory_name / PLANTED
    aside.rename(planted)
    return planted / SEGMENT


@pytest.mark.parametrize(
    "kind",
    [
        "a link",
        "a hard link",
        pytest.param("another user's file", marks=needs_root),
        pytest.param("another user's directory", marks=needs_root),
    ],
)
def test_planted_rows_are_not_stored_and_the_own_ones_are(
    kind: str,
    faults: LoopbackClickHouse,
    make_application: MakeApplication,
    lines: Lines,
    judge: Judge,
) -> None:
    before = make_application(faults)
    before.audit(30)
    planted = plant(before, kind)
    before.log.removeHandler(before.handler)
    before.handler.close(30.0)
    after = make_application(faults)
    after.acknowledged = before.acknowledged
    after.audit(30)
    assert after.handler.flush()

    assert os.path.lexists(planted)
    assert lines.matching("is left where it is")
    judge(FOREIGN, kind, faults, after.table, after.acknowledged)
