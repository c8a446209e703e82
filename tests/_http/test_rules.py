"""The options of a middleware: which requests are audited, and how much of them."""

from __future__ import annotations

from typing import Any

import pytest

from audit_handler import ConfigurationError, Rule
from audit_handler._http import HttpRules


@pytest.mark.parametrize("option", ["methods", "path_prefixes", "exclude_paths"])
def test_a_policy_and_the_short_form_are_not_given_together(option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"both policy and {option} are given"):
        HttpRules(policy=[Rule(level="none")], **{option: ["/api"]})  # type: ignore[arg-type]


def test_the_short_form_is_a_policy_of_two_rules() -> None:
    short = HttpRules(exclude_paths="/api/health")
    policy = HttpRules(
        policy=[
            Rule(level="none", paths="/api/health"),
            Rule(
                level="request_response", methods=["POST", "PUT", "PATCH", "DELETE"], paths="/api"
            ),
        ]
    )
    asked = [(m, p) for m in ("GET", "POST") for p in ("/api", "/api/health", "/x")]

    assert [[rule.level for rule in policy.candidates(*each)] for each in asked] == [
        [rule.level for rule in short.candidates(*each)] for each in asked
    ]


def is_audited_by(rules: HttpRules, method: str, path: str) -> bool:
    """Whether a request is audited, where method and path alone decide."""
    found = rules.candidates(method, path)
    assert len(found) <= 1
    return any(rule.writes for rule in found)


@pytest.mark.parametrize(
    ("method", "path", "is_audited"),
    [
        ("POST", "/api/orders", True),
        ("PUT", "/api/orders/17", True),
        ("PATCH", "/api", True),
        ("DELETE", "/api/orders/17", True),
        ("GET", "/api/orders", False),
        ("OPTIONS", "/api/orders", False),
        ("POST", "/apis/orders", False),
        ("POST", "/login", False),
        ("POST", "/api/health", False),
        ("POST", "/api/healthy", True),
        ("POST", "/api/orders/17/approve", False),
        ("POST", "/api/orders/17/18/approve", True),
    ],
)
def test_rules_audit_writes_under_the_prefix_that_are_not_excluded(
    method: str, path: str, is_audited: bool
) -> None:
    rules = HttpRules(exclude_paths=["/api/health", "/api/orders/*/approve"])

    assert is_audited == is_audited_by(rules, method, path)


def test_a_single_prefix_or_method_needs_no_list() -> None:
    rules = HttpRules(methods="get", path_prefixes="/")

    assert is_audited_by(rules, "GET", "/anything")
    assert not is_audited_by(rules, "POST", "/anything")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"request_headers": ["Cookie"]}, "request_headers names 'cookie', a secret"),
        ({"response_headers": ["Set-Cookie"]}, "response_headers names 'set-cookie', a secret"),
        ({"request_headers": ["X-API-Key"]}, "names 'x-api-key', a secret"),
        ({"path_prefixes": ["api"]}, "path 'api' does not start with a slash"),
        ({"max_body_bytes": -1}, "max_body_bytes=-1 is out of range; use 0 to 1,048,576"),
    ],
)
def test_rules_refuse_options_that_cannot_work(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        HttpRules(**options)


@pytest.mark.parametrize("proxy", ["*", "proxy.example", "10.0.0.1/8", "", "10.0.0.0/33"])
def test_a_proxy_that_is_no_address_is_refused(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match=r"trusted_proxies has .*; name an address or"):
        HttpRules(trusted_proxies=[proxy])
