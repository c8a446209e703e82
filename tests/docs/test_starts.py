"""The page about trouble has each error and warning of a start, as the code says it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit_handler._operations.check_address import check_address
from audit_handler.cli._dotenv import completed
from audit_handler.clickhouse._cause import innermost_cause
from audit_handler.clickhouse._errors import about_no_row, with_own_remedy
from audit_handler.clickhouse._loading import _import_fault
from audit_handler.clickhouse._option_faults import option_fault
from audit_handler.config import Settings
from audit_handler.errors import DataError, SetupError
from audit_handler.target import Target
from tests.support.paths import DOCS

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]

PAGE = (DOCS / "TROUBLESHOOTING.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## The handler or a command does not start")[2].partition("\n## ")[0]
TEXTS = [
    text
    for line in SECTION.splitlines()
    if line.startswith("| `")
    for text in re.findall(r"`([^`]+)`", line.split(" | ")[0])
]
HOST = "http://h"
TARGET = Target(scheme="http", host="h")


def resolved(environ: dict[str, str] | None = None, **options: Any) -> Settings:
    return Settings.resolve({"spool_dir": "/x", **options}, environ or {})


def of_dsn(dsn: str) -> Callable[[], object]:
    return lambda: resolved(dsn=dsn)


def of_environment(**environ: str) -> Callable[[], object]:
    return lambda: resolved({"CLICKHOUSE_URL": HOST, **environ})


def checked(dsn: str) -> Callable[[], object]:
    return lambda: [each.detail for each in check_address(resolved(dsn=dsn))]


def dotenv(mode: int, environ: dict[str, str], *names: str) -> Callable[[], object]:
    def read() -> list[str]:
        lines: list[str] = []
        file = Path(".env")
        file.write_text("".join(f"{name}=x\n" for name in names))
        file.chmod(mode)
        completed(environ, has_dsn=False, say=lines.append)
        return lines

    return read


def no_zone() -> str:
    return str(_import_fault(ImportError("x")))


def proxy() -> str:
    from urllib3.exceptions import LocationParseError

    return str(option_fault(LocationParseError("x"), TARGET, ()))


def question() -> None:
    with about_no_row():
        raise DataError("code 32")


CASES: dict[str, Callable[[], object]] = {
    "no dsn": lambda: resolved(),
    "has a #, or an @ that is not the one before the host": of_dsn("http://u:a#b@h"),
    "in the password that starts no escape": of_dsn("http://u:a%b@h"),
    "contains a space or a control character": of_dsn("http://u:a b@h"),
    "has a host or a port that cannot be read": of_dsn("http://h:port"),
    "has a path that is more than a database": of_dsn("http://h/a/b"),
    "has a database that is not a plain SQL name": of_dsn("http://h/a-b"),
    "has a query parameter that is no option of clickhouse-connect": of_dsn("http://h?a-b=1"),
    "starts as that of another client": of_dsn("clickhouse://h"),
    "starts with no scheme": of_dsn("h:8123"),
    "starts with a quote": of_dsn("'http://h'"),
    "which would override its address or credentials": of_dsn("http://h?user=a"),
    "which contradicts the dsn": lambda: resolved(dsn=HOST, client_options={"host": "other"}),
    "CLICKHOUSE_PORT is ignored: Kubernetes or Docker set it": of_environment(
        CLICKHOUSE_PORT="tcp://10.0.0.1:8123"
    ),
    "is not a port": of_environment(CLICKHOUSE_PORT="70000"),
    "the file of CLICKHOUSE_PASSWORD_FILE cannot be read": of_environment(
        CLICKHOUSE_PASSWORD_FILE="/no/such/file"
    ),
    "the dsn and CLICKHOUSE_USER name two users": lambda: resolved(
        {"CLICKHOUSE_USER": "a", "CLICKHOUSE_PASSWORD": "p"}, dsn="http://b@h"
    ),
    "of the environment is not used, because": dotenv(
        0o600, {"CLICKHOUSE_PASSWORD": "p"}, "CLICKHOUSE_URL"
    ),
    "of .env is not used, because": dotenv(0o600, {"CLICKHOUSE_URL": "u"}, "CLICKHOUSE_PASSWORD"),
    "is ignored: other users may write to it": dotenv(0o666, {}, "CLICKHOUSE_URL"),
    "verify is not true, false or proxy": of_dsn("https://h?verify=maybe"),
    "the certificate of the server is not verified": checked("https://h?verify=false"),
    "travel without TLS to another machine": checked("http://u:p@h"),
    "ClickHouse's port of the native protocol": checked("http://h:9000"),
    "client_options do not fit clickhouse-connect": lambda: option_fault(
        TypeError("x"), TARGET, ()
    ),
    "the address of the proxy cannot be read": proxy,
    "chDB cannot load the time zone of the environment": no_zone,
    "the target of a materialized view on": lambda: innermost_cause(
        "Code: 60. DB::Exception: Target table 'a.b' of view 'a.c' doesn't exist. (UNKNOWN_TABLE)"
    ),
    "did not create it: create it again": lambda: with_own_remedy(
        SetupError(
            "code 60: Table a.b does not exist",
            code=60,
            remedy="create the table with: audit-handler init (or run sql/node/*.sql with "
            "clickhouse-client)",
        ),
        TARGET,
    ),
    "ClickHouse cannot answer a question about the table": question,
    "this user has no home directory": lambda: resolved(dsn=HOST, spool_dir="~no-such-user/x"),
}
OF_OTHER_USERS = {
    "is ignored: it belongs to another user",
    "it belongs to another user, uid",
    "who can move the rows in it away",
}
"""Of files of others; tests/cli/test_dotenv.py and tests/spool/test_own.py have their texts."""


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TZ", "No/Where")

    def text_of(call: Callable[[], object]) -> str:
        try:
            result = str(call())
        except Exception as exc:  # its text is what is asked for
            result = str(exc)
        return f"{result} {caplog.text}"

    return text_of


def test_every_text_of_the_page_has_a_case_and_the_reverse() -> None:
    assert set(TEXTS) == CASES.keys() | OF_OTHER_USERS


@pytest.mark.parametrize("text", CASES)
def test_the_code_says_the_text_of_the_page(
    text: str, said: Callable[[Callable[[], object]], str]
) -> None:
    assert text in said(CASES[text])


@pytest.mark.parametrize("text", sorted(OF_OTHER_USERS))
def test_the_text_about_other_users_is_tested_where_it_is_said(text: str) -> None:
    tests = DOCS.parent / "tests"
    found = "".join(
        (tests / name).read_text(encoding="utf-8")
        for name in ("cli/test_dotenv.py", "spool/test_own.py")
    )

    assert text in found
