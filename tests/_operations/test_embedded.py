"""The directory of an embedded database is there, or is created, and holds nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_handler._operations.embedded import is_open_to_others, require_directory
from audit_handler.errors import SetupError
from audit_handler.target import Target


def embedded(path: Path) -> Target:
    return Target(scheme="chdb", path=str(path))


def test_a_directory_that_is_not_there_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="audit-handler init"):
        require_directory(embedded(tmp_path / "typo"))

    assert [] == list(tmp_path.iterdir())


def test_a_directory_is_created_if_allowed(tmp_path: Path) -> None:
    require_directory(embedded(tmp_path / "a" / "b"), may_be_made=True)

    assert (tmp_path / "a" / "b").is_dir()
    assert not is_open_to_others(embedded(tmp_path / "a" / "b"))


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o711])
def test_a_directory_that_others_can_read_is_open(mode: int, tmp_path: Path) -> None:
    tmp_path.chmod(mode)

    assert is_open_to_others(embedded(tmp_path))
    assert not is_open_to_others(Target(scheme="http", host="ch"))


@pytest.mark.parametrize("names", [[], ["tmp", "status"], ["metadata", "store", "tmp"]])
def test_an_empty_directory_and_one_of_chdb_are_accepted(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    require_directory(embedded(tmp_path))


def test_a_directory_with_other_files_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("")

    with pytest.raises(SetupError, match="holds other files"):
        require_directory(embedded(tmp_path), may_be_made=True)


def test_a_directory_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(SetupError, match="db cannot be created: Not a directory"):
        require_directory(embedded(tmp_path / "file" / "db"), may_be_made=True)


def test_a_server_and_a_database_in_memory_need_no_directory() -> None:
    require_directory(Target(scheme="http", host="ch"))
    require_directory(Target(scheme="chdb", path=":memory:"))
