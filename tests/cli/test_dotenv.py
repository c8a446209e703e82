"""A .env file completes the environment; address and credentials are never mixed."""

from __future__ import annotations

import grp
import os
import pwd
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


def test_the_file_gets_nothing_else_of_the_environment() -> None:
    """A server that the file names got any variable as a password."""
    url = "http://u:${AWS_SECRET_ACCESS_KEY}@evil"

    assert url == resolved({URL: url}, {"AWS_SECRET_ACCESS_KEY": "s3cret"})[0][URL]


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


@pytest.mark.parametrize("file", [{URL: "http://h"}, {URL: "http://h", PORT: "8124"}])
def test_a_service_link_of_kubernetes_is_no_source(file: dict[str, str]) -> None:
    """Each command advised to remove a variable that no person had set."""
    assert (file, []) == resolved(file, {PORT: "tcp://10.0.0.1:8123"})


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


def known(
    monkeypatch: pytest.MonkeyPatch,
    users: list[tuple[str, int]],
    group: tuple[str, list[str]] | None,
) -> None:
    """Let the system know *users*, whose primary group is that of ``.env``, with *group*'s name."""
    gid = Path(".env").stat().st_gid
    listed = [pwd.struct_passwd((name, "x", uid, gid, "", "/", "")) for name, uid in users]

    def user_of(uid: int) -> pwd.struct_passwd:
        return next((each for each in listed if each.pw_uid == uid), None) or missing(uid)

    def group_of(gid: int) -> grp.struct_group:
        return grp.struct_group((group[0], "x", gid, group[1])) if group else missing(gid)

    def missing(number: int) -> Any:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", user_of)
    monkeypatch.setattr(pwd, "getpwall", lambda: listed)
    monkeypatch.setattr(grp, "getgrgid", group_of)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no owners on this platform")
class TestOthers:
    """Files that other users can change."""

    @pytest.mark.parametrize("mode", [0o620, 0o602, 0o664, 0o666])
    def test_a_file_that_others_may_write_to_is_ignored(
        self, mode: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resolved({URL: "a"}, {})
        Path(".env").chmod(mode)
        known(monkeypatch, [("ann", os.geteuid())], ("staff", ["ann", "bob"]))

        found, lines = resolved({}, {"A": "b"})
        assert {"A": "b"} == found
        assert "is ignored: other users may write to it; run: chmod go-w .env" in lines[0]

    @pytest.mark.parametrize("members", [[], ["ann"]])
    def test_a_file_of_umask_002_is_read_if_its_group_is_the_users_own(
        self, members: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Debian, Ubuntu, Fedora and RHEL give each user a group of the same name."""
        resolved({URL: "a"}, {})
        Path(".env").chmod(0o664)
        known(monkeypatch, [("ann", os.geteuid())], ("ann", members))

        assert ({URL: "a"}, []) == resolved({}, {})

    @pytest.mark.parametrize(
        ("users", "group"),
        [
            ([("ann", 0)], ("ann", ["bob"])),
            ([("ann", 0)], ("ann", ["ann", "bob"])),
            ([("ann", 0)], ("users", [])),
            ([("ann", 0), ("bob", 1)], ("ann", [])),
            ([], ("ann", [])),
            ([("ann", 0)], None),
        ],
        ids=["another", "two", "shared", "primary of another", "no user", "no group"],
    )
    def test_a_file_of_a_group_that_may_have_others_is_ignored(
        self,
        users: list[tuple[str, int]],
        group: tuple[str, list[str]] | None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        resolved({URL: "a"}, {})
        Path(".env").chmod(0o664)
        known(monkeypatch, [(name, os.geteuid() + n) for name, n in users], group)

        found, lines = resolved({}, {})
        assert {} == found
        assert "is ignored: other users may write to it" in lines[0]

    def test_a_file_with_an_access_control_list_is_of_others_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resolved({URL: "a"}, {})
        Path(".env").chmod(0o664)
        known(monkeypatch, [("ann", os.geteuid())], ("ann", []))
        names = ["security.selinux", "system.posix_acl_access"]
        monkeypatch.setattr(os, "listxattr", lambda _path: names, raising=False)

        assert {} == resolved({}, {})[0]

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

    def test_a_directory_is_ignored(self) -> None:
        """Docker makes one when it mounts a file that is missing."""
        Path(".env").mkdir()

        found, lines = resolved({}, {})
        assert {} == found
        assert [f"{Path('.env').absolute()} is ignored: it is a directory"] == lines

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
