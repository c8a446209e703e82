"""Options that the driver does not accept are named, and their values are not shown."""

from __future__ import annotations

import traceback
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from audit_handler.clickhouse import EngineClosed, _connect
from audit_handler.errors import DeliveryError, SetupError
from audit_handler.target import Target
from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import Connect, rows

pytestmark = pytest.mark.once


def test_an_option_that_the_driver_does_not_know_is_named(
    connect: Connect, faults: LoopbackClickHouse
) -> None:
    with pytest.raises(SetupError, match=r"client_options.*no_such_option"):
        connect(faults.dsn(), client_options={"no_such_option": 1}).insert(rows(1), token="t")


@pytest.mark.parametrize(
    "options",
    [
        {"access_token": "t0p-s3cr3t\n"},
        {"headers": {"X-Key": "t0p-s3cr3t\n"}},
        {"http_proxy": "http://bob:t0p-s3cr3t@[127.0.0.1"},
    ],
    ids=["token", "header", "proxy"],
)
def test_an_option_that_the_driver_rejects_is_not_quoted(
    connect: Connect, faults: LoopbackClickHouse, options: dict[str, Any]
) -> None:
    """A token that was read from a file, with its line end, appeared in the log."""
    with pytest.raises(DeliveryError) as caught:
        connect(faults.dsn(), client_options=options).insert(rows(1), token="t")

    assert "t0p-s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("compress", "hunter"),
        ("connect_timeout", "abc"),
        ("send_receive_timeout", "1s"),
        ("query_retries", "many"),
        ("tz_mode", "x"),
        ("settings", "x"),
        ("headers", "x"),
    ],
)
def test_a_value_that_the_driver_does_not_take_is_named_and_not_retried(
    connect: Connect, faults: LoopbackClickHouse, name: str, value: str
) -> None:
    with pytest.raises(SetupError, match=rf"client_options .*\({name}\).*; correct it"):
        connect(faults.dsn(), client_options={name: value}).insert(rows(1), token="t")


@pytest.mark.parametrize("address", ["http://user:pr0xy/y@p:33", "user:pr0xy#x@host:1", "pr0xy pw"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "client_options"])
def test_an_unreadable_address_of_a_proxy_is_not_quoted(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, address: str, variable: str
) -> None:
    """urllib3 quotes a piece of the password, in its text and in a traceback."""
    monkeypatch.setenv("HTTP_PROXY", address if variable == "HTTP_PROXY" else "")
    options = {"http_proxy": address} if variable == "client_options" else {}
    with pytest.raises(SetupError, match=r"address of the proxy.*; write it as") as caught:
        connect("http://127.0.0.1:9", client_options=options).insert(rows(1), token="t")

    assert "pr0xy" not in "".join(traceback.format_exception(caught.value))


def test_a_file_that_is_no_certificate_is_named(
    connect: Connect, faults: LoopbackClickHouse
) -> None:
    dsn = f"https://127.0.0.1:{faults.port}"
    with pytest.raises(SetupError, match=r"TLS: .*; see ca_cert"):
        connect(dsn, client_options={"ca_cert": __file__}).insert(rows(1), token="t")


def test_only_the_user_can_read_the_database_in_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine would create it with mode 0755."""
    found: list[int] = []

    def opened(target: Target, _secrets: Collection[str]) -> object:
        found.append(Path(target.path).stat().st_mode & 0o777)
        raise EngineClosed

    monkeypatch.setattr(_connect, "_connect", opened)
    with pytest.raises(EngineClosed):
        _connect.connect(Target(scheme="chdb", path=str(tmp_path / "a" / "db")), ())

    assert [0o700] == found
