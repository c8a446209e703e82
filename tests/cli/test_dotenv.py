"""A .env file completes the environment; address and credentials are never mixed."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from audit_handler.cli._dotenv import completed
from audit_handler.errors import ConfigurationError
from tests.support.commands import run

URL, PORT = "CLICKHOUSE_URL", "CLICKHOUSE_PORT"
USER, PASSWORD, SECRET_FILE = (
    "CLICKHOUSE_USER",
    "CLICKHOUSE_PASSWORD",
    "CLICKHOUSE_PASSWORD_FILE",
)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def resolved(
    file: Mapping[str, str], environ: Mapping[str, str], *, has_dsn: bool = False
) -> tuple[dict[str, str], list[str]]:
    """Return the variables of *environ*, completed by *file*, and the lines about it."""
    path = Path(".env")
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text("".join(f"{name}={value}\n" for name, value in file.items()))
    lines: list[str] = []
    return dict(completed(environ, has_dsn=has_dsn, say=lines.append)), lines


def test_the_file_completes_what_is_not_about_the_server() -> None:
    file = {"AUDIT_SPOOL_DIR": "/x", "CLICKHOUSE_DATABASE": "d"}

    assert ({**file, URL: "u", PASSWORD: "p"}, []) == resolved(file, {URL: "u", PASSWORD: "p"})


@pytest.mark.parametrize("names", [[PASSWORD], [SECRET_FILE], [USER, PASSWORD], [PORT]])
def test_a_url_of_the_file_gets_no_credentials_of_the_environment(names: list[str]) -> None:
    found, lines = resolved({URL: "http://evil"}, {**dict.fromkeys(names, "s3cret"), "A": "b"})

    assert {URL: "http://evil", "A": "b"} == found
    assert 1 == len(lines)
    assert f"{', '.join(names)} of the environment" in lines[0]
    assert "CLICKHOUSE_URL comes from .env" in lines[0]
    assert "s3cret" not in lines[0]
    assert "evil" not in lines[0]


@pytest.mark.parametrize("names", [[PASSWORD], [SECRET_FILE], [USER, PASSWORD], [PORT]])
def test_a_url_of_the_environment_gets_no_credentials_of_the_file(names: list[str]) -> None:
    found, lines = resolved(dict.fromkeys(names, "s3cret"), {URL: "u"})

    assert {URL: "u"} == found
    assert [f"{', '.join(names)} of .env"] == [
        line[: len(f"{', '.join(names)} of .env")] for line in lines
    ]
    assert "s3cret" not in lines[0]


def test_variables_that_the_environment_sets_too_are_overridden_silently() -> None:
    file = {URL: "a", PASSWORD: "b"}

    assert ({URL: "c", PASSWORD: "d"}, []) == resolved(file, {URL: "c", PASSWORD: "d"})


def test_an_empty_variable_counts_as_unset() -> None:
    found, lines = resolved({URL: "a", PASSWORD: "b"}, {PASSWORD: ""})

    assert ("a", []) == (found[URL], lines)


def test_a_dsn_of_the_command_line_gets_credentials_of_one_source() -> None:
    file = {URL: "a", USER: "file", PASSWORD: "file"}

    assert "file" == resolved(file, {}, has_dsn=True)[0][PASSWORD]
    found, lines = resolved(file, {URL: "b", PASSWORD: "environment"}, has_dsn=True)
    assert "environment" == found[PASSWORD]
    assert USER not in found
    assert "CLICKHOUSE_USER of .env is not used" in lines[0]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no owners on this platform")
class TestOthers:
    """Files that other users can change."""

    @pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
    def test_a_file_that_others_may_write_to_is_ignored(self, mode: int) -> None:
        resolved({URL: "a"}, {})
        Path(".env").chmod(mode)

        found, lines = resolved({}, {"A": "b"})
        assert {"A": "b"} == found
        assert "is ignored: other users may write to it; run: chmod go-w .env" in lines[0]

    @pytest.mark.parametrize("kind", ["file", "link", "linked"])
    def test_a_file_or_link_of_another_user_is_ignored(
        self, kind: str, directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resolved({URL: "a"}, {})
        if kind != "file":
            Path(".env").rename("shared")
            Path(".env").symlink_to("shared")
        real, other = os.fstat, os.geteuid() + 1 or 1

        def foreign(found: os.stat_result) -> os.stat_result:
            return os.stat_result((*found[:4], other, *found[5:10]))

        if kind == "link":
            lstat = os.lstat
            monkeypatch.setattr(Path, "lstat", lambda path: foreign(lstat(path)))
        else:
            monkeypatch.setattr(os, "fstat", lambda descriptor: foreign(real(descriptor)))

        found, lines = resolved({}, {})
        assert {} == found
        assert f"{directory / '.env'} is ignored: it belongs to another user" in lines[0]

    def test_a_link_of_this_user_is_followed(self) -> None:
        resolved({URL: "a"}, {})
        Path(".env").rename("shared")
        Path(".env").symlink_to("shared")

        assert ({URL: "a"}, []) == resolved({}, {})

    def test_a_pipe_does_not_hang_the_command(self) -> None:
        os.mkfifo(".env", 0o600)

        found, lines = resolved({}, {})
        assert {} == found
        assert "it is not a file" in lines[0]


def test_a_file_that_is_not_utf8_is_named_and_not_quoted(directory: Path) -> None:
    (directory / ".env").write_bytes(b"CLICKHOUSE_PASSWORD=geheim\xff\n")
    (directory / ".env").chmod(0o600)
    with pytest.raises(ConfigurationError, match="not UTF-8") as caught:
        resolved({}, {})

    assert "geheim" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.usefixtures("no_settings")
def test_a_command_says_on_stderr_what_it_does_not_use() -> None:
    resolved({URL: "http://127.0.0.1:1"}, {})
    environment: dict[str, Any] = {PASSWORD: "s3cret"}
    result = run("search", env=environment)

    assert 3 == result.exit_code
    assert "CLICKHOUSE_PASSWORD of the environment is not used" in result.stderr
    assert "s3cret" not in result.output
