"""A dsn is taken apart exactly, or refused; an error shows nothing of it but the scheme."""

from __future__ import annotations

import random
import string
from typing import Any
from urllib.parse import quote

import pytest

from audit_handler._options.dsn import parse_dsn
from audit_handler.clickhouse._connect import connect_arguments
from audit_handler.config import Settings
from audit_handler.errors import ConfigurationError

PRINTABLE = string.ascii_letters + string.digits + string.punctuation * 2 + " äß€"


def pieces(secret: str) -> set[str]:
    """Return every piece of four characters of *secret*."""
    return {secret[start : start + 4] for start in range(len(secret) - 3)}


@pytest.mark.parametrize("seed", range(4))
def test_a_password_in_a_dsn_is_taken_whole_or_refused_and_never_shown(seed: int) -> None:
    choose = random.Random(seed)
    known = set()
    for text in (
        "user host.example audit_db audit_logs audit-handler http https chdb:///directory",
        "https://user:password@host:8443/database, http://host:8123, or chdb://memory",
    ):
        known |= pieces(text)
    for _ in range(500):
        password = "".join(choose.choices(PRINTABLE, k=choose.randint(4, 20)))
        for written in (quote(password, safe=""), password):
            try:
                settings = Settings.resolve(
                    {"dsn": f"http://user:{written}@host.example/audit_db", "spool_dir": "/x"}, {}
                )
            except ConfigurationError as exc:
                assert written == password, "an escaped password was refused"
                shown = str(exc)
            else:
                target = settings.target
                shown = f"{settings!r} {target} {target!r} {target.directory_name}"
                assert "host.example" == target.host
                if written != password or "%" not in password:
                    assert password == connect_arguments(target)["password"]
            # Digits with other characters only: a word of the error may be in the password too.
            told = pieces(password) - known
            assert not [each for each in told if not each.isalpha() and each in shown]


@pytest.mark.parametrize(
    "dsn",
    [
        "http://user:4711#geheim@host",
        "http://user:4711?geheim@host",
        "http://user:4711/geheim@host",
        "http://user:4711@geheim@host",
        "http://user:4711 geheim@host",
        "http://user:4711%geheim@host",
        "http://user:4711%FFgeheim@host",
        "http://geheim#4711:x@host",
        "http://user:x@4711geheim/y?@host",
        "http://user:4711\ngeheim@host",
    ],
)
def test_a_password_that_moves_the_borders_is_refused_with_the_remedy(dsn: str) -> None:
    with pytest.raises(ConfigurationError, match="percent-encode user and password") as raised:
        parse_dsn(dsn)

    assert not [word for word in ("4711", "geheim") if word in str(raised.value)]
    assert "CLICKHOUSE_PASSWORD" in str(raised.value)
    assert raised.value.__context__ is None or raised.value.__suppress_context__


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("HTTP://CH.Example", ("http", "ch.example", 8123)),
        ("https://ch\n", ("https", "ch", 8443)),
        ("  https://ch:9 \r\n", ("https", "ch", 9)),
        ("http://[::1]", ("http", "::1", 8123)),
        ("http://[fe80::1%25eth0]:8124/db", ("http", "fe80::1%eth0", 8124)),
        ("http://ch?ca_cert=/etc/ca.pem", ("http", "ch", 8123)),
        ("http://u:a:b[c]@ch", ("http", "ch", 8123)),
    ],
)
def test_an_address_is_read(dsn: str, expected: tuple[Any, ...]) -> None:
    fields = parse_dsn(dsn)

    assert expected == (fields["scheme"], fields["host"], fields["port"])


@pytest.mark.parametrize(
    ("dsn", "remedy"),
    [
        ("clickhouse://ch", "speaks HTTP; use http:// and the HTTP port"),
        ("clickhousedb://ch", "speaks HTTP"),
        ("tcp://ch:9000", "speaks HTTP"),
        ('"http://ch"', "remove the quotes"),
        ("'http://ch'", "remove the quotes"),
        ("http://a,b", "names several hosts"),
        ("http://a,http://b", "names several servers"),
        ("http://::1", "in brackets"),
        ("http://[1:2]", "no IPv6 address"),
        ("http://:8123", "names no host"),
        ("http://user:x@", "names no host"),
        ("http://ch:0", "from 1 to 65535"),
        ("http://ch:65536", "from 1 to 65535"),
        ("http://ch?verify=1&verify=0", "twice"),
        ("http://ch?ca_cert=", "without a value"),
        ("chdb:///a#b", "%23"),
    ],
)
def test_a_dsn_with_a_common_mistake_is_refused_with_its_remedy(dsn: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_dsn(dsn)

    assert remedy in str(raised.value)


@pytest.mark.parametrize("host", ["a..b", ".b", "a" * 64 + ".b"])
def test_a_host_that_no_resolver_takes_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match="has a host with a part"):
        parse_dsn(f"http://{host}:8123")
