"""Policies: which rule decides about a request, and what is wrong with a rule that cannot."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_handler import ConfigurationError, Rule
from audit_handler._http import HttpRules
from audit_handler._record.redaction import REDACTED
from audit_handler.policy import Policy


def decided(
    policy: list[Any],
    method: str = "POST",
    path: str = "/api/orders/17",
    *,
    route: str = "",
    status: int = 200,
    user: str = "",
) -> str:
    """Return the level of the rule that decides, as a middleware finds it."""
    candidates = Policy(policy).candidates(method, path)
    found = [rule for rule in candidates if rule.matches(route, status, user)]
    return found[0].level if found else "none"


# Which rule


def test_the_first_rule_that_matches_decides() -> None:
    first, second = Rule(level="metadata", methods="POST"), Rule(level="request", paths="/api")

    assert "metadata" == decided([first, second])
    assert "request" == decided([second, first])
    assert "request" == decided([first, second], "PUT")


def test_a_request_that_no_rule_matches_is_not_audited() -> None:
    assert "none" == decided([Rule(level="request", methods="PUT")])
    assert "none" == decided([])


@pytest.mark.parametrize(
    ("condition", "values", "others"),
    [
        ({"methods": ["post", "PUT"]}, {"method": "PUT"}, {"method": "GET"}),
        ({"paths": ["/api"]}, {"path": "/api"}, {"path": "/apis/orders"}),
        ({"paths": ["/api/"]}, {"path": "/api/orders"}, {"path": "/"}),
        ({"paths": "/api/*/17"}, {"path": "/api/orders/17/x"}, {"path": "/api/a/b/17"}),
        ({"paths": ["/", "/x"]}, {"path": "/anything"}, {"path": "no path"}),
        ({"routes": "/a/{b}"}, {"route": "/a/{b}"}, {"route": "/a/{c}"}),
        ({"statuses": 404}, {"status": 404}, {"status": 405}),
        ({"statuses": "404"}, {"status": 404}, {"status": 400}),
        ({"statuses": ["4xx", 503]}, {"status": 499}, {"status": 500}),
        ({"statuses": "5XX"}, {"status": 599}, {"status": 499}),
        ({"statuses": "400-403"}, {"status": 403}, {"status": 404}),
        ({"statuses": range(400, 404)}, {"status": 403}, {"status": 404}),
        ({"users": ["u-1", 2]}, {"user": "2"}, {"user": ""}),
    ],
)
def test_a_rule_matches_what_meets_its_condition(
    condition: dict[str, Any], values: dict[str, Any], others: dict[str, Any]
) -> None:
    policy = [{"level": "request", **condition}]

    assert "request" == decided(policy, **values)
    assert "none" == decided(policy, **others)


def test_a_rule_needs_all_of_its_conditions() -> None:
    policy = [Rule(level="request", methods="POST", statuses="4xx", users="u-1")]

    assert "request" == decided(policy, status=404, user="u-1")
    assert "none" == decided(policy, status=404, user="u-2")
    assert "none" == decided(policy, status=200, user="u-1")
    assert "none" == decided(policy, "PUT", status=404, user="u-1")


def test_a_websocket_is_matched_only_by_a_rule_that_names_it() -> None:
    assert "none" == decided([Rule(level="metadata")], "WEBSOCKET")
    assert "metadata" == decided([Rule(level="metadata", methods="websocket")], "WEBSOCKET")


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


# Masks


def test_a_rule_masks_field_names_that_contain_its_words() -> None:
    (rule,) = Policy([Rule(level="request", mask=["birth", "iban"])]).candidates("POST", "/")
    value = {"birthDate": "1815-12-10", "accounts": [{"IBAN": "GB00"}], "name": "Ada"}

    assert {
        "birthDate": REDACTED,
        "accounts": [{"IBAN": REDACTED}],
        "name": "Ada",
    } == rule.masked(value)
    assert "birthDate: " + REDACTED == rule.masked("birthDate: 1815-12-10")


# What cannot work


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Rule(level="all"), "level='all' is unknown; use one of none, metadata, request, request_"),
        ({}, "it has no level; add one of none, metadata, request, request_response"),
        ({"level": None}, "level=None is unknown"),
        ({"level": "none", "path": "/"}, "unknown key 'path'; the known are level, methods, paths"),
        ("metadata", "it is a str; make it a Rule or a mapping"),
        (Rule(level="request", paths="api"), "path 'api' does not start with a slash; add one"),
        (Rule(level="request", routes=["{id}"]), "route '{id}' does not start with a slash"),
        ({"level": "request", "paths": {"/a": 1}}, "paths is a dict; make it a list"),
        ({"level": "none", "paths": []}, "paths is empty; name some, or leave paths out"),
        ({"level": "none", "paths": None}, "paths is a NoneType; make it a list"),
        ({"level": "request", "paths": [1]}, "paths has 1, which is no text; put it in quotes"),
        (Rule(level="request", methods="P OST"), "methods has 'P OST', which is no method"),
        (Rule(level="request", statuses=99), "status 99 is impossible; use 100 to 599, '4xx'"),
        (Rule(level="request", statuses=600), "status 600 is impossible"),
        (Rule(level="request", statuses="6xx"), "status '6xx' is impossible"),
        (Rule(level="request", statuses="404-400"), "status '404-400' is impossible"),
        (Rule(level="request", statuses=range(0, 10**12)), "is impossible"),
        (Rule(level="request", statuses=True), "status True is impossible"),
        ({"level": "request", "statuses": [4.5]}, "status 4.5 is impossible"),
        ({"level": "request", "users": [None]}, "users has None, which is no agent_id"),
        (Rule(level="request", users=""), "users has '', which is no agent_id"),
        (Rule(level="request", mask=["_"]), "mask has '_', which is no field name"),
        ({"level": "request", "action": 7}, "action has 7, which is no text"),
        ({"level": "request", "durable": "yes"}, "durable='yes' is neither true nor false"),
        (Rule(level="none", action="X"), "level='none' audits nothing, so action has no effect"),
        (Rule(level="none", durable=True), "so durable has no effect; leave it out"),
    ],
)
def test_a_bad_rule_is_refused_with_its_number_and_the_reason(rule: Any, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Policy([Rule(level="none", paths="/health"), rule])

    assert str(caught.value).startswith("policy rule 2: ")
    assert text in str(caught.value)


@pytest.mark.parametrize("policy", ["none", {"level": "none"}, 7])
def test_a_policy_is_a_list(policy: Any) -> None:
    with pytest.raises(ConfigurationError, match="make it a list of rules, in their order"):
        Policy(policy)


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
