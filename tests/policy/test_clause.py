"""Which requests a rule matches, and which fields it masks."""

from __future__ import annotations

from typing import Any

import pytest

from audit_handler import Rule
from audit_handler._record.redaction import REDACTED
from audit_handler.policy import Policy
from tests.support.policies import decided


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


def test_a_rule_masks_field_names_that_contain_its_words() -> None:
    (rule,) = Policy([Rule(level="request", mask=["birth", "iban"])]).candidates("POST", "/")
    value = {"birthDate": "1815-12-10", "accounts": [{"IBAN": "GB00"}], "name": "Ada"}

    assert {
        "birthDate": REDACTED,
        "accounts": [{"IBAN": REDACTED}],
        "name": "Ada",
    } == rule.masked(value)
    assert "birthDate: " + REDACTED == rule.masked("birthDate: 1815-12-10")
