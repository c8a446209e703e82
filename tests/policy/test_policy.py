"""Which rule of a policy decides about a request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_handler import ConfigurationError, Rule
from audit_handler.policy import Policy
from tests.support.policies import decided


def test_the_first_rule_that_matches_decides() -> None:
    first, second = Rule(level="metadata", methods="POST"), Rule(level="request", paths="/api")

    assert "metadata" == decided([first, second])
    assert "request" == decided([second, first])
    assert "request" == decided([first, second], "PUT")


def test_a_request_that_no_rule_matches_is_not_audited() -> None:
    assert "none" == decided([Rule(level="request", methods="PUT")])
    assert "none" == decided([])


def test_the_candidates_end_with_the_first_rule_that_is_certain() -> None:
    policy = Policy(
        [
            Rule(level="none", methods="GET"),
            Rule(level="none", statuses=404),
            Rule(level="request", users="u-1"),
            Rule(level="metadata", paths="/api"),
            Rule(level="request_response"),
        ]
    )

    assert [2, 3, 4] == [rule.number for rule in policy.candidates("POST", "/api/orders")]
    assert [1] == [rule.number for rule in policy.candidates("GET", "/api/orders")]
    assert [2, 3, 5] == [rule.number for rule in policy.candidates("POST", "/elsewhere")]


RULES = st.builds(
    Rule,
    level=st.sampled_from(["none", "metadata", "request", "request_response"]),
    methods=st.sampled_from([(), "POST", ("GET", "POST")]),
    paths=st.sampled_from([(), "/a", ("/a/*", "/b")]),
    routes=st.sampled_from([(), "/a/{b}"]),
    statuses=st.sampled_from([(), "2xx", (404, "5xx")]),
    users=st.sampled_from([(), "u-1"]),
)


@given(
    policy=st.lists(RULES, max_size=6),
    method=st.sampled_from(["GET", "POST", "PUT"]),
    path=st.sampled_from(["/", "/a", "/a/1", "/b/2", "/c"]),
    route=st.sampled_from(["", "/a/{b}"]),
    status=st.sampled_from([200, 404, 500]),
    user=st.sampled_from(["", "u-1"]),
)
def test_deciding_in_two_steps_is_deciding_at_once(
    policy: list[Rule], method: str, path: str, route: str, status: int, user: str
) -> None:
    """Nothing that is left out at the start could have decided at the end."""

    def meets(rule: Rule) -> bool:
        (clause,) = Policy([rule])._clauses
        return clause.may_match(method, path) and clause.matches(route, status, user)

    expected = next((rule.level for rule in policy if meets(rule)), "none")

    assert expected == decided(policy, method, path, route=route, status=status, user=user)


@pytest.mark.parametrize("policy", ["none", {"level": "none"}, 7])
def test_a_policy_is_a_list(policy: Any) -> None:
    with pytest.raises(ConfigurationError, match="make it a list of rules, in order"):
        Policy(policy)
