"""A secret shows nowhere: in no error, log line, repr, status, directory or output of a command."""

from __future__ import annotations

import json
import logging
import logging.config
import random
import traceback
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from audit_handler import AuditHandler
from audit_handler._http.pages import HealthPages, StatusPages
from audit_handler.cli import main
from audit_handler.clickhouse import ClickHouse
from audit_handler.config import Settings
from tests.support.commands import audit
from tests.support.echoing import Echo, echoing, leaked, random_secret
from tests.support.tables import rows

pytestmark = pytest.mark.usefixtures("no_settings")

MakeHandler = Callable[..., AuditHandler]

COMMANDS = (
    ["check"],
    ["check", "--json"],
    ["init"],
    ["init", "--json"],
    ["init", "--dry-run"],
    ["search", "--json"],
    ["report"],
    ["report", "--json"],
    ["query", "by_user", "--param", "agent_id=u"],
    ["spool"],
    ["spool", "--json"],
    ["replay"],
    ["replay", "--json"],
)

# Where a password may stand by mistake, and where it belongs.
DSNS = (
    "http://app:{}@h/db",
    "http://app:{}@h:8123/db?verify=false",
    "http://{}:x@h/db",
    "http://{}@h",
    "http://app:{}@",
    "http://app:{}@h:port",
    "http://app:{}@[::1",
    "http://app:{}@h,http://x",
    "http://h/{}/db",
    "http://h/db#{}",
    "http://h/db?{}",
    "http://h/db?!{}=1",
    "http://h/db?a={}&a={}",
    "https://h/db?user=app&password={}",
    "https://h/db?dsn={}",
    "https://h/db?verify={}",
    "https://h/db?ca_cert={}",
    "https://h/db?access_token={}",
    "https://h/db?https_proxy=http://app:{}@proxy",
    "https://h/db?headers={}",
    "clickhouse://app:{}@h",
    "jdbc:clickhouse://h?password={}",
    "ftp://app:{}@h",
    "chdb://app:{}@h",
    "chdb:///x#{}",
    "'http://app:{}@h'",
    "app:{}@h:8123",
    "http:/app:{}@h",
    "{}",
    "{}://h",
)
CLIENT_OPTIONS: tuple[Callable[[str], Any], ...] = (
    lambda secret: {"password": secret},
    lambda secret: {"dsn": f"http://app:{secret}@h"},
    lambda secret: {"access_token": secret},
    lambda secret: {"headers": {"X-Token": secret}},
    lambda secret: {"headers": {"Authorization": ["Bearer", secret]}},
    lambda secret: {"headers": secret},
    lambda secret: {"verify": secret},
    lambda secret: {"settings": {"s3_secret_key": secret}},
    lambda secret: {"generic_args": {"password": secret}},
    lambda secret: secret,
)


@pytest.fixture
def logged() -> Iterator[StringIO]:
    """What every logger says, of the driver and urllib3 too, at any level."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def chain(exc: BaseException) -> str:
    return "".join(traceback.format_exception(exc))


def text_of(call: Callable[[], object]) -> str:
    """Return what *call* returns or raises, as text."""
    try:
        return f"{call()!r}"
    except Exception as exc:  # any error may show a secret
        return chain(exc)


def shown_by(settings: Settings) -> str:
    target = settings.target
    return f"{settings!r} {settings} {target!r} {target} {target.directory_name} {settings.sources}"


def output(*arguments: str) -> str:
    """Return what a command prints, and what it raises."""
    result = CliRunner().invoke(main, arguments)
    is_exit = result.exception is None or isinstance(result.exception, SystemExit)
    assert is_exit, chain(result.exception or Exception())
    return result.output


@pytest.mark.parametrize("seed", range(3))
def test_no_spelling_of_a_dsn_shows_its_password(seed: int, logged: StringIO) -> None:
    choose = random.Random(seed)
    for number in range(400):
        secret = random_secret(choose)
        written = choose.choice((secret, quote(secret, safe="")))
        dsn = choose.choice(DSNS).replace("{}", written)
        given, environ = choose.choice(
            (
                ({"dsn": dsn}, {}),
                ({}, {"CLICKHOUSE_URL": dsn}),
                ({"dsn": "http://h"}, {"CLICKHOUSE_USER": "app", "CLICKHOUSE_PASSWORD": secret}),
                ({}, {"CLICKHOUSE_URL": "http://h", "CLICKHOUSE_PORT": written}),
                ({}, {"CLICKHOUSE_URL": "http://h", "CLICKHOUSE_PASSWORD_FILE": written}),
                ({"dsn": dsn, "client_options": choose.choice(CLIENT_OPTIONS)(secret)}, {}),
                ({"dsn": "http://h", "password": secret}, {}),
            )
        )
        options = {**given, "spool_dir": "/x"}
        text = text_of(lambda: shown_by(Settings.resolve(options, environ)))  # noqa: B023  # called now

        assert [] == leaked(text + logged.getvalue(), secret), (number, dsn)


@pytest.mark.parametrize("seed", range(2))
def test_no_command_shows_the_password_of_a_dsn_or_a_file(
    seed: int, tmp_path: Path, logged: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = random.Random(seed)
    (tmp_path / "spool").mkdir()
    for number in range(40):
        secret = random_secret(choose)
        dsn = choose.choice(DSNS).replace("{}", choose.choice((secret, quote(secret, safe=""))))
        # Ports of this machine that refuse.
        dsn = dsn.replace("@h/", "@127.0.0.1:1/").replace("//h/", "//127.0.0.1:1/")
        monkeypatch.delenv("CLICKHOUSE_URL", raising=False)
        lines = {"CLICKHOUSE_URL": dsn, "CLICKHOUSE_PASSWORD": secret}
        where = number % 3
        if where == 0:
            monkeypatch.setenv("CLICKHOUSE_URL", dsn)
        else:
            file = tmp_path / ".env"
            file.touch(mode=0o600)
            quotes = choose.choice(("", "'", '"'))
            file.write_text("".join(f"{name}={quotes}{lines[name]}\n" for name in lines))
            file.chmod(choose.choice((0o600, 0o666)))
        text = output(*choose.choice(COMMANDS))
        (tmp_path / ".env").unlink(missing_ok=True)

        assert [] == leaked(text + logged.getvalue(), secret), (number, dsn)


@pytest.mark.parametrize("seed", range(4))
def test_no_answer_that_repeats_the_credentials_shows_them(
    seed: int, tmp_path: Path, logged: StringIO, make_handler: MakeHandler
) -> None:
    choose = random.Random(seed)
    with echoing(choose) as echo:
        for number in range(24):
            echo.again()
            secret = random_secret(choose)
            dsn, options = login(echo, secret, choose)
            ways: tuple[Callable[[], str], ...] = (
                lambda: direct(dsn, options),  # noqa: B023  # called now
                lambda: handled(make_handler, dsn, options, tmp_path / "spool"),  # noqa: B023
            )
            text = ways[number % 8 == 0]() + logged.getvalue()
            logged.seek(0)
            logged.truncate()

            # Fewer characters of what the other side has cut tell nothing.
            assert [] == leaked(text, secret, size=8 if echo.is_cut else 5), number


@pytest.mark.parametrize("seed", range(2))
def test_no_command_repeats_the_credentials_that_an_answer_has(
    seed: int, tmp_path: Path, logged: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = random.Random(seed)
    (tmp_path / "spool").mkdir()
    with echoing(choose) as echo:
        for number in range(20):
            echo.again()
            secret = random_secret(choose)
            monkeypatch.setenv(
                "CLICKHOUSE_URL", f"http://app:{quote(secret, safe='')}@127.0.0.1:{echo.port}/db"
            )
            text = output(*choose.choice(COMMANDS)) + logged.getvalue()
            logged.seek(0)
            logged.truncate()

            assert [] == leaked(text, secret, size=8 if echo.is_cut else 5), number


def login(echo: Echo, secret: str, choose: random.Random) -> tuple[str, dict[str, Any]]:
    """Return a dsn and client options that have the *secret*."""
    bare = f"http://127.0.0.1:{echo.port}/db"
    in_header = secret.encode("ascii", errors="ignore").decode()
    return choose.choice(
        (
            (bare.replace("//", f"//app:{quote(secret, safe='')}@"), {}),
            (bare.replace("//", f"//:{quote(secret, safe='')}@"), {}),
            (bare, {"access_token": in_header.replace(" ", "")}),
            (bare, {"headers": {"X-Token": in_header}}),
            (bare, {"headers": {"Cookie": f"sid={in_header}"}}),
        )
    )


def direct(dsn: str, client_options: dict[str, Any]) -> str:
    given = {"dsn": dsn, "client_options": client_options, "spool_dir": "/x"}
    target = Settings.resolve(given, {}).target
    connection = ClickHouse(target, create_table=False, async_insert=False)
    calls: tuple[Callable[[], object], ...] = (
        lambda: connection.query("SELECT 1"),
        lambda: connection.insert(rows(1), token="t"),
        lambda: connection.stored("w", 1, 1, rows(1)),
        lambda: connection.command("SELECT 2"),
    )
    text = "".join(map(text_of, calls))
    connection.close()
    return text


def handled(
    make_handler: MakeHandler, dsn: str, client_options: dict[str, Any], spool: Path
) -> str:
    handler = make_handler(dsn, client_options=client_options, create_table=False)
    audit(handler)
    handler.flush(0.1)
    handler.close(0.0)
    status = handler.status()
    page = (HealthPages(handler, 1e-9).page("ready"), StatusPages(handler, by_user=True).page())
    files = "".join(f"{path}\n" for path in spool.rglob("*"))
    return f"{handler!r} {handler.settings!r} {status!r} {page!r} {files}"


def test_an_unknown_key_in_dictconfig_shows_no_value() -> None:
    secret = random_secret(random.Random(0))
    for key in ("password", "passwort", "CLICKHOUSE_PASSWORD", "client_option"):
        entry = {"class": "audit_handler.AuditHandler", "dsn": "http://h", key: secret}
        text = text_of(
            lambda: logging.config.dictConfig({"version": 1, "handlers": {"audit": entry}})  # noqa: B023
        )

        assert "audit" in text
        assert [] == leaked(text, secret)
    assert json.dumps(entry)
