"""The caller of a request: address, session and agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from audit_handler._http import HttpRules
from audit_handler._http.caller import agent_fields, request_fields, session_fields
from tests.support.exchanges import DEFAULT


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("testclient", None),
        ("/run/app.sock", None),
        ("", None),
        (None, None),
    ],
)
def test_the_address_is_the_peers_or_none(host: str | None, expected: str | None) -> None:
    fields = request_fields({"x-forwarded-for": "198.51.100.1"}, host, DEFAULT)

    assert expected == fields.get("ip_address")


TRUSTED = HttpRules(trusted_proxies=["10.0.0.0/8", "192.0.2.7", "2001:db8:a::/48"]).networks


@pytest.mark.parametrize(
    ("host", "forwarded", "expected"),
    [
        # The caller is not trusted, so the header does not count.
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        # A proxy did, and appended whom it was called from.
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 192.0.2.7, 10.9.9.9", "198.51.100.1"),
        # All are ours: the first of them asked.
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        # With ports, brackets, quotes and spaces, as some proxies write them.
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", '"[2001:db8::1]"', "2001:db8::1"),
        ("10.0.0.1", " 2001:db8::1 ", "2001:db8::1"),
        ("10.0.0.1", "fe80::1%eth0", "fe80::1"),
        # One host, however it is written.
        ("::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("2001:db8:a::1", "198.51.100.1", "198.51.100.1"),
        ("2001:db8:b::1", "198.51.100.1", "2001:db8:b::1"),
        # Junk: the proxy that passed it on is all that is known.
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, junk", "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6,", "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, _hidden, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "6.6.6.6, " + "1" * 100_000, "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, '; DROP TABLE audit_logs", "10.0.0.1"),
        ("/run/app.sock", "198.51.100.1", None),
    ],
)
def test_only_a_trusted_proxy_says_where_a_request_came_from(
    host: str, forwarded: str, expected: str | None
) -> None:
    fields = request_fields({"x-forwarded-for": forwarded}, host, DEFAULT, TRUSTED)

    assert expected == fields.get("ip_address")


@pytest.mark.parametrize(
    ("proxies", "host", "expected"),
    [
        (["unix"], None, "198.51.100.1"),
        (["unix"], "", "198.51.100.1"),
        (["unix", "198.51.100.0/24"], "", "6.6.6.6"),
        (["10.0.0.0/8"], "", None),
        (["unix"], "203.0.113.9", "203.0.113.9"),
        (["unix"], "testclient", None),
    ],
)
def test_a_proxy_over_a_unix_socket_is_trusted_by_that_word(
    proxies: list[str], host: str | None, expected: str | None
) -> None:
    rules = HttpRules(trusted_proxies=proxies)

    fields = request_fields(
        {"x-forwarded-for": "6.6.6.6, 198.51.100.1"},
        host,
        DEFAULT,
        rules.networks,
        trusts_unix=rules.trusts_unix,
    )

    assert expected == fields.get("ip_address")


@given(
    forged=st.text("0123456789.:,[]% abcdef", max_size=60),
    client=st.ip_addresses(),
    proxies=st.lists(st.sampled_from(["10.0.0.1", "10.7.0.1", "192.0.2.7"]), max_size=3),
)
def test_no_forged_entry_reaches_the_address(forged: str, client: Any, proxies: list[str]) -> None:
    """What a client sends stands left of what the proxies append, and is never looked at."""
    client = getattr(client, "ipv4_mapped", None) or client
    assume(not any(client in network for network in TRUSTED))
    forwarded = ", ".join([forged, str(client), *proxies])

    assert (
        str(client)
        == request_fields({"x-forwarded-for": forwarded}, "10.0.0.1", DEFAULT, TRUSTED)[
            "ip_address"
        ]
    )
    assert (
        "203.0.113.9"
        == request_fields({"x-forwarded-for": forged}, "203.0.113.9", DEFAULT, TRUSTED)[
            "ip_address"
        ]
    )


def test_a_session_is_known_by_a_hash_of_its_secret() -> None:
    headers = {"cookie": 'theme=dark; sid="s3cr3t"; x=y'}

    by_cookie = session_fields(headers, "sid")
    by_session = session_fields(headers, "sid", {"session_id": "other"})

    assert 32 == len(by_cookie["session_id"])
    assert "s3cr3t" not in by_cookie["session_id"]
    assert by_cookie == session_fields({}, None, "s3cr3t")
    assert by_cookie != by_session
    assert {} == session_fields(headers, "absent") == session_fields(headers, None, {"id": 7})


@dataclass
class Person:
    """A user as an ORM has it."""

    id: int
    name: str
    roles: tuple[str, ...]
    is_authenticated: bool = True

    @property
    def email(self) -> str:
        raise RuntimeError("the session is closed")


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (None, {}),
        ("", {}),
        ("u-7", {"agent_id": "u-7"}),
        (7, {"agent_id": "7"}),
        (
            {"id": 7, "name": "Ada", "role": "admin", "email": "ada@example.org"},
            {
                "agent_id": "7",
                "agent_name": "Ada",
                "agent_role": "admin",
                "agent_email": "ada@example.org",
            },
        ),
        ({"sub": "auth0|7", "roles": ["b", "a"]}, {"agent_id": "auth0|7", "agent_role": "a, b"}),
        (
            Person(7, "Ada", ("clerk",)),
            {"agent_id": "7", "agent_name": "Ada", "agent_role": "clerk"},
        ),
        (Person(7, "Ada", (), is_authenticated=False), {}),
        ({"username": "ada"}, {"agent_id": "ada", "agent_name": "ada"}),
    ],
)
def test_the_agent_is_read_from_what_frameworks_call_a_user(user: Any, expected: Any) -> None:
    assert expected == agent_fields(user)
