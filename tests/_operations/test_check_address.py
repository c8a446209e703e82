"""The check names the source of each part of the target, and the risks on the way there."""

from __future__ import annotations

from typing import Any

import pytest

from audit_handler._operations.check_address import check_address
from audit_handler._operations.check_spool import Finding
from audit_handler.config import Settings


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def found(
    dsn: str = "", environ: dict[str, str] | None = None, **options: Any
) -> tuple[str, list[Finding]]:
    """Return the detail of the first finding, and the warnings."""
    given = {"spool_dir": "/x", **({"dsn": dsn} if dsn else {}), **options}
    first, *others = check_address(Settings.resolve(given, environ or {}))
    assert first.state == "ok"
    assert {"warning"} >= {each.state for each in others}
    return first.detail, others


def test_each_part_is_named_with_its_source_and_no_secret() -> None:
    environ = {
        "CLICKHOUSE_URL": "https://ch/trail",
        "CLICKHOUSE_PORT": "443",
        "CLICKHOUSE_USER": "app",
        "CLICKHOUSE_PASSWORD": "s3cret",
    }
    detail, warnings = found("", environ)

    assert detail == (
        "https://ch:443 table trail.audit_logs, dsn from CLICKHOUSE_URL, port from "
        "CLICKHOUSE_PORT, user from CLICKHOUSE_USER, password from CLICKHOUSE_PASSWORD, database "
        "from dsn, spool_dir from the command line"
    )
    assert [] == warnings


@pytest.mark.parametrize(
    ("dsn", "detail", "remedy"),
    [
        ("https://ch?verify=false", "verify=false", "ca_cert"),
        ("http://u:s3cret@ch", "the password and the events travel without TLS", "https://"),
        ("http://ch:9000", "port 9000 is ClickHouse's port of the native protocol", "8123"),
        ("https://ch:9440", "port 9440 is ClickHouse's port of the native protocol", "8443"),
        ("http://ch?http_proxy=http://u:s3cret%40p:3128", "a proxy is used: http_proxy", "remove"),
    ],
)
def test_a_risk_is_a_warning_with_a_remedy(dsn: str, detail: str, remedy: str) -> None:
    _, (warning,) = found(dsn)

    assert detail in warning.detail
    assert remedy in warning.remedy
    assert "s3cret" not in warning.detail + warning.remedy


@pytest.mark.parametrize(
    "dsn",
    [
        "http://u:p@localhost",
        "http://u:p@127.0.0.2",
        "http://u:p@[::1]:8123",
        "http://ch",
        "https://u:p@ch",
        "chdb:///data",
    ],
)
def test_a_safe_way_has_no_warning(dsn: str) -> None:
    assert [] == found(dsn)[1]


def test_a_variable_with_a_proxy_is_named_where_it_applies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://u:s3cret@p:3128")
    _, (warning,) = found("http://ch")

    assert warning.detail == "a proxy is used: the variable HTTP_PROXY"
    assert "add ch to NO_PROXY" in warning.remedy
    assert [] == found("https://ch")[1]
    monkeypatch.setenv("NO_PROXY", "ch")
    assert [] == found("http://ch")[1]
