"""The names in a spool."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_handler._ids import new_writer_id
from audit_handler.spool import DiskFiles
from audit_handler.spool._layout import is_writer_name, readable_names

WRITER = "01a208d4-18a9-7e5a-9fcc-0608495bf2bf"


@pytest.mark.parametrize("name", ["rejected", "lock", "backup", f"{WRITER} (copy)", ""])
def test_a_name_that_is_no_writer_id_is_not_that_of_a_writer(name: str) -> None:
    assert not is_writer_name(name)
    assert is_writer_name(WRITER)
    assert is_writer_name(new_writer_id())


def test_a_path_that_is_no_directory_has_no_readable_names(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    (tmp_path / "a").touch()

    assert ["a", "b"] == readable_names(DiskFiles(), tmp_path)
    assert [] == readable_names(DiskFiles(), tmp_path / "a")
    assert [] == readable_names(DiskFiles(), tmp_path / "missing")
