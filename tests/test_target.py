"""A dsn is taken apart; what it holds in secrets is shown nowhere."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from audit_handler._options.dsn import parse_dsn
from audit_handler.errors import ConfigurationError
from audit_handler.target import Target

PASSWORD = "hunter2:/@é"
DSN = "https://bob:hunter2%3A%2F%40%C3%A9@ch.example:9443/trail?ca_cert=/etc/ca.pem"


def parsed(dsn: str) -> dict[str, Any]:
    return parse_dsn(dsn)


def target(dsn: str, **fields: Any) -> Target:
    return Target(**{**parsed(dsn), **fields})


# Servers


def test_a_dsn_of_a_server_is_taken_apart() -> None:
    assert {
        "scheme": "https",
        "host": "ch.example",
        "port": 9443,
        "user": "bob",
        "password": PASSWORD,
        "path": "",
        "database": "trail",
        "client_options": {"ca_cert": "/etc/ca.pem"},
    } == parsed(DSN)


@pytest.mark.parametrize(("scheme", "port"), [("http", 8123), ("https", 8443)])
def test_the_port_follows_from_the_scheme(scheme: str, port: int) -> None:
    assert port == parsed(f"{scheme}://ch")["port"]


def test_a_dsn_without_a_path_leaves_the_database_open() -> None:
    assert "database" not in parsed("http://ch/")


def test_the_path_of_a_proxy_belongs_to_the_location() -> None:
    assert "http://ch:8123/proxy" == target("http://ch?proxy_path=/proxy").location


def test_the_location_of_an_ipv6_host_has_brackets() -> None:
    assert "http://[2001:db8::1]:8123" == target("http://[2001:db8::1]").location


# chDB


def test_a_dsn_of_chdb_names_a_directory(tmp_path: Path) -> None:
    made = target(f"chdb://{tmp_path}/a%20b")

    assert (f"{os.path.realpath(tmp_path)}/a b", True, False) == (
        made.path,
        made.is_embedded,
        made.is_in_memory,
    )


def test_two_ways_to_one_chdb_directory_are_one_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert target(f"chdb://{tmp_path}/real") == target(f"chdb://{tmp_path}/link")


@pytest.mark.parametrize("dsn", ["chdb://memory", "chdb://memory/"])
def test_chdb_in_memory_ends_with_the_process(dsn: str) -> None:
    assert target(dsn).is_in_memory


# Errors


@pytest.mark.parametrize(
    "dsn",
    [
        "clickhouse://bob:hunter2@ch",
        "bob:hunter2@ch:8123",
        "hunter2",
        "https://bob:hunter2@",
        "https://bob:hunter2@ch:port",
        "https://bob:hunter2@ch:99999",
        "https://bob:hunter2@[::1",
        "chdb://bob:hunter2@host/x",
        "https://bob:hunter2@ch/a/b",
        "https://bob:hun/ter2@ch",
        "http:/bob:hunter2@ch",
        "https://bob:hunter2/x@ch",
        "https://bob:8123/hunter2@ch",
        "https://bob:8123/hunter2/x@ch",
    ],
)
def test_a_dsn_that_cannot_be_read_is_refused_without_a_word_of_it(dsn: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parsed(dsn)

    assert not re.search("hun|ter2", str(raised.value))


@pytest.mark.parametrize("dsn", ["clickhouse://ch", "ch:8123", "https://", "https://ch:x"])
def test_a_dsn_that_cannot_be_read_is_answered_with_the_known_forms(dsn: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape("https://user:password@host:8443")):
        parsed(dsn)


@pytest.mark.parametrize("dsn", ["chdb://", "chdb:///", "chdb://relative/path"])
def test_chdb_needs_an_absolute_directory(dsn: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no absolute directory.*chdb://memory"):
        parsed(dsn)


@pytest.mark.parametrize("option", ["database", "table", "cluster"])
@pytest.mark.parametrize("value", ["a b", "a;b", "a`b", "1a", "a.b", "é", "a" * 65, "a\n"])
def test_a_name_that_is_no_plain_sql_name_is_refused(option: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        target("http://ch", **{option: value})

    assert f"{option}={value!r}" in str(raised.value)


@pytest.mark.parametrize("option", ["database", "table"])
def test_an_empty_name_is_refused(option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{option}=''"):
        target("http://ch", **{option: ""})


@pytest.mark.parametrize("cluster", ["", "main", "eu-west-1", "{cluster}"])
def test_a_clusters_name_may_have_dashes_or_be_a_macro(cluster: str) -> None:
    assert cluster == target("http://ch", cluster=cluster).cluster


# What is shown


@pytest.mark.parametrize("show", [str, repr, lambda shown: shown.location])
def test_nothing_that_is_shown_holds_the_password(show: Any) -> None:
    shown = show(target(DSN, client_options={"access_token": "t0psecret"}))

    assert not re.search("hunter2|t0psecret", shown)


def test_str_names_location_and_table() -> None:
    assert "https://ch.example:9443 table trail.audit_logs" == str(target(DSN))


# The directory in a spool


def test_the_directory_name_is_the_same_in_every_version() -> None:
    """Rows of an older release wait under this name: a change would leave them behind."""
    assert "ch.example-9443-trail-audit_logs-35bb72a1" == target(DSN).directory_name


@pytest.mark.parametrize(
    "other",
    [
        {"host": "ch2.example"},
        {"port": 8443},
        {"path": "/proxy"},
        {"database": "trail2"},
        {"table": "audit_logs2"},
    ],
    ids=str,
)
def test_another_place_has_another_directory(other: dict[str, Any]) -> None:
    assert target(DSN).directory_name != target(DSN, **other).directory_name


@pytest.mark.parametrize(
    "other",
    [
        {"user": "eve"},
        {"password": "letmein"},
        {"scheme": "http"},
        {"client_options": {"verify": "false"}},
    ],
    ids=str,
)
def test_another_way_to_the_same_table_has_the_same_directory(other: dict[str, Any]) -> None:
    assert target(DSN).directory_name == target(DSN, **other).directory_name


def test_names_that_differ_only_in_replaced_characters_have_directories_of_their_own() -> None:
    one, two = (target("http://ch", host=host).directory_name for host in ("a:b", "a_b"))

    assert one != two


def test_databases_and_tables_that_read_alike_have_directories_of_their_own() -> None:
    one = target("http://ch", database="a", table="b-c".replace("-", "_"))
    two = target("http://ch", database="a_b", table="c")

    assert one.directory_name != two.directory_name


def test_two_chdb_directories_of_one_name_have_directories_of_their_own() -> None:
    assert target("chdb:///a/trail").directory_name != target("chdb:///b/trail").directory_name


@pytest.mark.parametrize(
    "dsn",
    [DSN, "http://[2001:db8::1]", "chdb:///a/ü b", "chdb://memory", "http://ch?proxy_path=/../x"],
)
def test_a_directory_name_is_one_plain_path_component(dsn: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]+", target(dsn).directory_name)
