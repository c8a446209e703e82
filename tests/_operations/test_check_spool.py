"""The step about the spool: can it be used, and are rows of ended processes in it?"""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_handler._operations.check_spool import Finding, check_spool
from audit_handler.config import Settings
from audit_handler.spool import DiskFiles
from tests.support.findings import findings
from tests.support.spools import leave_behind, make_spool, put_numbers

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


def found_in(spool: Path | str, files: DiskFiles | None = None, **options: object) -> list[Finding]:
    settings = Settings.resolve({"dsn": "http://ch", "spool_dir": spool, **options}, {})
    return list(check_spool(settings, files or DiskFiles()))


class LocklessFiles(DiskFiles):
    """A file system where no lock can be taken."""

    def lock(self, path: Path) -> None:  # noqa: ARG002
        return None


def test_check_of_a_disk_with_too_little_space_is_a_warning(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    found = findings(dsn, max_spool_bytes=2**62)["spool"]

    assert "warning" == found.state
    assert "AUDIT_MAX_SPOOL_BYTES" in found.remedy


def test_a_spool_that_can_be_used_is_left_as_it_was(tmp_path: Path) -> None:
    (found,) = found_in(tmp_path)

    assert ("ok", True) == (found.state, "written, synced, locked" in found.detail)
    assert [] == list(tmp_path.iterdir())


def test_a_file_system_without_locks_is_named(tmp_path: Path) -> None:
    (found,) = found_in(tmp_path, LocklessFiles())

    assert "failed" == found.state
    assert f"{tmp_path}: file locks do not work on this file system" == found.detail
    assert [] == list(tmp_path.iterdir())


def test_a_spool_in_memory_loses_rows_in_a_crash() -> None:
    (found,) = found_in("memory")

    assert ("warning", True) == (found.state, "a crash loses" in found.detail)


def test_rows_of_dead_processes_are_counted_for_this_target_and_for_others(tmp_path: Path) -> None:
    own = Settings.resolve({"dsn": "http://ch", "spool_dir": tmp_path}, {}).target.directory_name
    for name, rows in ((own, 2), ("other-target", 3)):
        spool = make_spool(tmp_path / name)
        put_numbers(spool, 1, rows)
        leave_behind(spool)
    _, ours, others = found_in(tmp_path)

    assert "2 rows of processes that have ended wait" == ours.detail
    assert "the application's next start delivers them" == ours.remedy
    assert "3 rows of processes that have ended wait for other targets" == others.detail
    assert "audit-handler spool move" in others.remedy


def test_rejected_rows_are_counted(tmp_path: Path) -> None:
    own = Settings.resolve({"dsn": "http://ch", "spool_dir": tmp_path}, {}).target.directory_name
    for target in (own, "some-target"):
        (tmp_path / target / "rejected").mkdir(parents=True)
        (tmp_path / target / "rejected" / "w-1-2.ndjson").write_text("{}\n{}\n")
    _, found = found_in(tmp_path, max_rejected_bytes=1_000)

    assert (
        "warning",
        "ClickHouse rejected 4 rows; those of this target take 6 of max_rejected_bytes=1,000",
    ) == (found.state, found.detail)
    assert "audit-handler replay" in found.remedy
