"""The pool of a connection has the driver's options for TLS and proxies, and is not shared."""

from __future__ import annotations

from typing import Any

import pytest
from clickhouse_connect.driver.httputil import all_managers, default_pool_manager
from urllib3.poolmanager import ProxyManager

from audit_handler.clickhouse._transport import Transport, pool_for
from audit_handler.target import Target
from tests.support.fault_proxy import Fault, FaultProxy, Reach, answering, message
from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import Connect, rows, target_of

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_proxies")]


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def target(scheme: str = "https", **options: Any) -> Target:
    return target_of(f"{scheme}://db.example.com/audit_db", "audit_db", client_options=options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"cert_reqs": "CERT_REQUIRED"}),
        ({"verify": False}, {"cert_reqs": "CERT_NONE"}),
        ({"verify": "false"}, {"cert_reqs": "CERT_NONE"}),
        ({"verify": "proxy"}, {"cert_reqs": "CERT_REQUIRED"}),
        ({"ca_cert": "/ca.pem"}, {"cert_reqs": "CERT_REQUIRED", "ca_certs": "/ca.pem"}),
        (
            {"client_cert": "/c.pem", "client_cert_key": "/k.pem"},
            {"cert_reqs": "CERT_REQUIRED", "cert_file": "/c.pem", "key_file": "/k.pem"},
        ),
        (
            {"server_host_name": "inner"},
            {"cert_reqs": "CERT_REQUIRED", "assert_hostname": "inner", "server_hostname": "inner"},
        ),
        (
            {"server_host_name": "inner", "verify": False},
            {"cert_reqs": "CERT_NONE", "assert_hostname": None, "server_hostname": "inner"},
        ),
    ],
)
def test_tls_options_reach_the_pool(options: dict[str, Any], expected: dict[str, Any]) -> None:
    given = pool_for(target(**options)).connection_pool_kw

    assert expected == {name: given.get(name) for name in expected}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_is_that_of_the_options_or_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", "http://from-environment:3128")
    found = []
    for options in ({f"{scheme}_proxy": "http://from-options:3128"}, {}):
        pool = pool_for(target(scheme, **options))
        assert isinstance(pool, ProxyManager)
        assert pool.proxy is not None
        found.append(pool.proxy.host)
    monkeypatch.setenv("NO_PROXY", "db.example.com")

    assert ["from-options", "from-environment"] == found
    assert not isinstance(pool_for(target(scheme)), ProxyManager)


def test_a_proxy_for_the_other_scheme_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")

    assert not isinstance(pool_for(target("http")), ProxyManager)


def test_the_pool_is_not_the_one_of_the_application() -> None:
    pool = pool_for(target("http"))

    assert pool is not default_pool_manager()
    assert pool not in all_managers


def test_a_closed_connection_leaves_nothing_in_the_driver(
    connect: Connect, faults: LoopbackClickHouse, database: str
) -> None:
    others = set(all_managers)
    clickhouse = connect(faults.dsn(database))
    clickhouse.insert(rows(1), token="t")
    ours = {pool for pool in set(all_managers) - others if isinstance(pool, Transport)}
    clickhouse.close()

    assert 1 == len(ours)
    assert not ours & set(all_managers)


def test_settings_of_an_insert_win_over_those_of_the_options(
    connect: Connect, faults: LoopbackClickHouse
) -> None:
    theirs = {
        "input_format_allow_errors_num": 100,
        "input_format_allow_errors_ratio": 1,
        "async_insert": 1,
        "wait_for_async_insert": 0,
        "distributed_foreground_insert": 0,
    }
    clickhouse = connect(faults.dsn(), client_options={"settings": theirs}, async_insert=True)
    clickhouse.insert(rows(1), token="t")
    sent = faults.requests("^INSERT")[-1]["settings"]

    assert {
        "input_format_allow_errors_num": "0",
        "input_format_allow_errors_ratio": "0",
        "async_insert": "1",
        "wait_for_async_insert": "1",
        "distributed_foreground_insert": "1",
    }.items() <= sent.items()


@pytest.mark.parametrize("options", [{"autogenerate_query_id": False}, {"query_limit": 1}])
def test_no_option_takes_the_query_id_away(
    connect: Connect, faults: LoopbackClickHouse, options: dict[str, Any]
) -> None:
    clickhouse = connect(faults.dsn(), client_options=options)
    clickhouse.insert(rows(1), token="t")  # would be unconfirmed without its query id

    assert {1} == clickhouse.stored("w", 1, 1, rows(1))


@pytest.mark.parametrize(
    ("has_proxy", "start"),
    [(False, b"POST /a/?b=1 "), (True, b"POST http://db:8123/a/?b=1 ")],
)
def test_only_a_forward_proxy_gets_the_whole_url(*, has_proxy: bool, start: bytes) -> None:
    with FaultProxy(1) as server:
        server.arm(Fault(answering(message(200)), reach=Reach.NOTHING))
        here = f"http://127.0.0.1:{server.port}"
        options = {"http_proxy": here} if has_proxy else {}
        transport = Transport(pool_for(target("http", **options)))
        base = "http://db:8123" if has_proxy else here
        transport.request("POST", f"{base}/a/?b=1", headers={"A": "b"}, body=b"")

    (request,) = server.requests
    assert request.startswith(start)
    assert b"A: b" in request
