"""The options of a middleware: which requests are audited, and how much of them."""

from __future__ import annotations

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
