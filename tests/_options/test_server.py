"""The address has one source, and variables that were meant for another program break no start."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from audit_handler._options.server import resolve_target
from audit_handler.errors import ConfigurationError

# What Kubernetes and Docker set for services and links named clickhouse and audit.
LINKS = {
    f"{name}_{end}": value
    for name in ("CLICKHOUSE", "AUDIT")
    for end, value in {
        "PORT": "tcp://10.0.0.1:8123",
        "SERVICE_HOST": "10.0.0.1",
        "SERVICE_PORT": "8123",
        "SERVICE_PORT_HTTP": "8123",
        "PORT_8123_TCP": "tcp://10.0.0.1:8123",
        "PORT_8123_TCP_PROTO": "tcp",
        "PORT_8123_TCP_PORT": "8123",
        "PORT_8123_TCP_ADDR": "10.0.0.1",
        "NAME": "/web/clickhouse",
        "ENV_PASSWORD": "x",
    }.items()
}


def resolved(environ: dict[str, str], **given: Any) -> tuple[Any, dict[str, str]]:
    return resolve_target(given, environ)


@pytest.mark.parametrize("dsn", ["chdb://memory", "http://ch", "http://u:p@ch:9999/db"])
@pytest.mark.parametrize("is_argument", [True, False])
def test_the_variables_of_a_service_break_no_start(dsn: str, is_argument: bool) -> None:
    alone, _ = resolved({}, dsn=dsn)
    given, environ = (
        ({"dsn": dsn}, LINKS) if is_argument else ({}, {**LINKS, "CLICKHOUSE_URL": dsn})
    )

    assert alone == resolved(environ, **given)[0]


def test_a_port_of_a_service_that_is_ignored_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "audit_handler"):
        resolved({**LINKS, "CLICKHOUSE_URL": "http://ch"})

    assert "CLICKHOUSE_PORT is ignored" in caplog.text


@pytest.mark.parametrize("dsn", ["chdb://memory", "http://u:p@ch:1"])
def test_a_variable_that_is_not_used_breaks_no_start(dsn: str) -> None:
    environ = {
        "CLICKHOUSE_URL": dsn,
        "CLICKHOUSE_PORT": "https",
        "CLICKHOUSE_USER": "default",
        "CLICKHOUSE_PASSWORD_FILE": "/no/such/file",
    }

    assert resolved({}, dsn=dsn)[0] == resolved(environ)[0]


def test_a_port_of_the_environment_completes_only_its_own_url() -> None:
    environ = {"CLICKHOUSE_URL": "http://ch", "CLICKHOUSE_PORT": "9999"}

    assert 9999 == resolved(environ)[0].port
    assert 8123 == resolved(environ, dsn="http://ch")[0].port


@pytest.mark.parametrize("port", ["https", "0", "65536", "1_0", "8123.0", "-1"])
def test_a_port_that_is_none_is_named(port: str) -> None:
    shown = f"={port}" if port.isdigit() else ""
    with pytest.raises(ConfigurationError, match=f"^CLICKHOUSE_PORT{shown} is not a port"):
        resolved({"CLICKHOUSE_URL": "http://ch", "CLICKHOUSE_PORT": port})


def test_the_password_of_another_user_is_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    environ = {"CLICKHOUSE_USER": "eve", "CLICKHOUSE_PASSWORD": "letmein"}

    target, _ = resolved(environ, dsn="http://bob@ch")

    assert ("bob", "") == (target.user, target.password)
    assert "two users" in caplog.text


@pytest.mark.parametrize("user", ["bob@", ""])
def test_user_and_password_may_come_from_the_environment(user: str) -> None:
    environ = {"CLICKHOUSE_USER": "bob\n", "CLICKHOUSE_PASSWORD": " hunter2 \r\n"}

    target, sources = resolved(environ, dsn=f"http://{user}ch")

    assert ("bob", " hunter2 ") == (target.user, target.password)
    assert ("argument", "CLICKHOUSE_PASSWORD") == (sources["dsn"], sources["password"])


def test_the_dsn_wins_over_user_and_password_of_the_environment(tmp_path: Path) -> None:
    environ = {"CLICKHOUSE_USER": "eve", "CLICKHOUSE_PASSWORD_FILE": str(tmp_path)}

    target, sources = resolved(environ, dsn="http://bob:hunter2@ch")

    assert ("bob", "hunter2", "dsn") == (target.user, target.password, sources["password"])


def test_a_password_that_is_not_utf_8_is_refused_without_its_text() -> None:
    with pytest.raises(ConfigurationError, match="not UTF-8") as raised:
        resolved({"CLICKHOUSE_PASSWORD": "hun\udcffter"}, dsn="http://ch")

    assert "hun" not in str(raised.value)


def test_another_name_for_the_url_is_said_to_be_unread() -> None:
    with pytest.raises(ConfigurationError, match="CLICKHOUSE_HOST is not read"):
        resolved({"CLICKHOUSE_HOST": "ch"})
