"""No option of the driver overrides the address or the credentials of the dsn."""

from __future__ import annotations

from typing import Any

import pytest

from audit_handler.config import Settings
from audit_handler.errors import ConfigurationError
from audit_handler.target import Target


def target(dsn: str, /, **options: Any) -> Target:
    return Settings.resolve({"dsn": dsn, "spool_dir": "/x", "client_options": options}, {}).target


@pytest.mark.parametrize("dsn", ["http://u:p@ch/db", "chdb:///data"])
@pytest.mark.parametrize(
    "name",
    [
        "host",
        "port",
        "interface",
        "path",
        "database",
        "username",
        "user",
        "user_name",
        "password",
        "dsn",
        "secure",
        "generic_args",
        "hostname",
        "settings",
        "headers",
        "pool_mgr",
        "token_provider",
    ],
)
def test_a_query_parameter_that_overrides_the_dsn_is_refused(dsn: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"query parameter {name},") as raised:
        target(f"{dsn}?{name}=evil")

    assert "evil" not in str(raised.value)


@pytest.mark.parametrize(
    "options",
    [
        {"host": "evil"},
        {"port": 1234},
        {"username": "evil"},
        {"password": "evil"},
        {"interface": "https"},
        {"database": "evil"},
        {"dsn": "http://ch"},
        {"secure": True},
    ],
    ids=str,
)
def test_client_options_that_contradict_the_dsn_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="contradicts the dsn") as raised:
        target("http://u:p@ch/db", **options)

    assert "evil" not in str(raised.value)


def test_client_options_that_repeat_the_dsn_are_accepted() -> None:
    assert "ch" == target("http://u:p@ch/db", host="ch", username="u", password="p").host


@pytest.mark.parametrize(
    ("value", "expected"),
    [("on", True), ("T", True), ("0", False), ("off", False), (0, False), ("proxy", "proxy")],
)
def test_verify_means_what_it_says(value: Any, expected: Any) -> None:
    """The driver takes ``on`` for False."""
    assert expected == target("https://ch", verify=value).client_options["verify"]
    assert expected == target(f"https://ch?verify={value}").client_options["verify"]


def test_a_verify_that_says_neither_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="verify is not true, false or proxy"):
        target("https://ch?verify=maybe")


def test_the_login_of_a_proxy_is_a_secret() -> None:
    assert "pr0xy!x" in target("http://ch", http_proxy="http://me:pr0xy%21x@p").secrets()
