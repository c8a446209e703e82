"""Characters that the terminal cannot show are escaped; a file is private."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from audit_handler.cli._output import private_file
from tests.support.commands import program

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


@pytest.fixture(scope="module")
def polish_dsn(make_trail: Callable[..., str]) -> str:
    """The six events, and one with a user that is not ASCII."""
    return make_trail({"agent_id": "Żółć", "outcome": "failure"})


@pytest.mark.parametrize("command", [["report"], ["search"], ["tail"], ["search", "--json"]])
def test_characters_that_the_terminal_cannot_print_are_escaped(
    command: list[str], polish_dsn: str
) -> None:
    result = program(*command, "--dsn", polish_dsn, environment={"PYTHONIOENCODING": "ascii"})

    assert (0, "", True) == (result.returncode, result.stderr, "\\u017b" in result.stdout)
    assert command != ["report"] or "###" in result.stdout


def test_a_private_file_replaces_an_open_one_and_leaves_it_private(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    (tmp_path / "out").chmod(0o666)
    with private_file(tmp_path / "out") as file:
        file.write("new")

    assert "new" == (tmp_path / "out").read_text()
    assert 0o600 == (tmp_path / "out").stat().st_mode & 0o777
    assert ["out"] == [each.name for each in tmp_path.iterdir()]


def test_a_private_file_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    with suppress(RuntimeError), private_file(tmp_path / "out") as file:
        file.write("half")
        raise RuntimeError

    assert "old" == (tmp_path / "out").read_text()
    assert ["out"] == [each.name for each in tmp_path.iterdir()]


@pytest.mark.parametrize("plant", [os.symlink, os.link, lambda _old, new: os.mkfifo(new)])
def test_a_private_file_follows_and_replaces_no_foreign_file(
    tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "victim").write_text("old")
    plant(tmp_path / "victim", tmp_path / "out")

    with pytest.raises(FileExistsError, match="not overwritten, it "):
        private_file(tmp_path / "out").__enter__()
    assert "old" == (tmp_path / "victim").read_text()
    assert ["out", "victim"] == sorted(each.name for each in tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_private_file_replaces_no_file_of_another_user(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    os.chown(tmp_path / "out", 12_345, 12_345)

    with pytest.raises(FileExistsError, match="another user, uid 12345; give another FILE"):
        private_file(tmp_path / "out").__enter__()
