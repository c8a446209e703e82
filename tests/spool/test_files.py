"""Files on a disk: private to the user, and no links."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from audit_handler.spool import DiskFiles
from tests.support.spools import make_spool, put_numbers


def test_only_the_user_can_read_the_files(tmp_path: Path) -> None:
    spool = make_spool(tmp_path / "spool" / "target")
    put_numbers(spool, 1, 4)
    modes = {
        path.relative_to(tmp_path): stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "spool").rglob("*")
    }

    assert {0o600} == {mode for path, mode in modes.items() if (tmp_path / path).is_file()}
    assert {0o700} == {mode for path, mode in modes.items() if (tmp_path / path).is_dir()}
    assert len(modes) == 5  # target, writer, lock, a sealed and an open segment


def test_a_directory_of_another_user_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    That user could have put rows of dead writers there: they would be stored as this application's.
    """
    (tmp_path / "target").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: (tmp_path / "target").stat().st_uid + 1)
    # A directory of root is accepted too, and root runs these tests in containers.
    real = os.stat_result
    monkeypatch.setattr(
        Path, "lstat", lambda path: real([*path.stat()[:4], 12_345, *path.stat()[5:10]])
    )

    with pytest.raises(PermissionError, match="another user, uid 12345"):
        DiskFiles().make_directory(tmp_path / "target")


def test_a_directory_that_is_a_link_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "target").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="it is a link"):
        make_spool(tmp_path / "target")
    spool = make_spool(tmp_path / "other")
    (tmp_path / "other" / "rejected").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="it is a link"):
        spool.rejected.write("w", 1, 1, b"{}\n", [])

    assert [] == list((tmp_path / "elsewhere").iterdir())
