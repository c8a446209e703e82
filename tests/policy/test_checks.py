"""A rule that cannot work is refused with its number, the value and the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from audit_handler import ConfigurationError, Rule
from audit_handler.policy import Policy


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Rule(level="all"), "level='all' is unknown; use one of none, metadata, request, request_"),
        ({}, "it has no level; add one of none, metadata, request, request_response"),
        ({"level": None}, "level=None is unknown"),
        ({"level": "none", "path": "/"}, "unknown key 'path'; use one of level, methods, paths"),
        ("metadata", "it is a str; make it a Rule or a mapping"),
        (Rule(level="request", paths="api"), "path 'api' does not start with a slash; add one"),
        (Rule(level="request", routes=["{id}"]), "route '{id}' does not start with a slash"),
        ({"level": "request", "paths": {"/a": 1}}, "paths is a dict; make it a list"),
        ({"level": "none", "paths": []}, "paths is empty; name at least one, or leave paths out"),
        ({"level": "none", "paths": None}, "paths is a NoneType; make it a list"),
        ({"level": "request", "paths": [1]}, "paths has 1, which is not text; put it in quotes"),
        (Rule(level="request", methods="P OST"), "methods has 'P OST', which is not a method"),
        (Rule(level="request", statuses=99), "status 99 is impossible; use 100 to 599, '4xx'"),
        (Rule(level="request", statuses=600), "status 600 is impossible"),
        (Rule(level="request", statuses="6xx"), "status '6xx' is impossible"),
        (Rule(level="request", statuses="404-400"), "status '404-400' is impossible"),
        (Rule(level="request", statuses=range(0, 10**12)), "is impossible"),
        (Rule(level="request", statuses=True), "status True is impossible"),
        ({"level": "request", "statuses": [4.5]}, "status 4.5 is impossible"),
        ({"level": "request", "users": [None]}, "users has None, which is not an agent_id"),
        (Rule(level="request", users=""), "users has '', which is not an agent_id"),
        (Rule(level="request", mask=["_"]), "mask has '_', which is not a field name"),
        ({"level": "request", "action": 7}, "action has 7, which is not text"),
        (
            {"level": "request", "durable": "yes"},
            "durable='yes' is not a boolean; use true or false",
        ),
        (Rule(level="none", action="X"), "level='none' audits nothing, so action has no effect"),
        (Rule(level="none", durable=True), "so durable has no effect; leave it out"),
    ],
)
def test_a_bad_rule_is_refused_with_its_number_and_the_reason(rule: Any, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Policy([Rule(level="none", paths="/health"), rule])

    assert str(caught.value).startswith("policy rule 2: ")
    assert text in str(caught.value)
