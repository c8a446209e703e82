"""Where the fields of an audit come from, and which source wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from audit_handler import Rule, audit, bind, bound, clear
from audit_handler._http.entry import Sources, merged
from audit_handler._record.redaction import REDACTED
from audit_handler.starlette import AuditMiddleware
from tests.support.asgi import Capture, as_json, asked

NOTHING = Sources(*({} for _ in Sources._fields))


def stored(sources: Sources) -> dict[str, Any]:
    """Return the row that the handler makes of *sources*, and of the fields that are bound."""
    audits = Capture()
    with bound(**sources.since):
        audits.logger.info("", extra=merged(sources))
    return audits.row


# The list


def test_the_sources_are_listed_from_the_weakest_to_the_strongest() -> None:
    assert ("cleared", "found", "rule", "who", "since", "said") == Sources._fields


@pytest.mark.parametrize(("weaker", "stronger"), list(pairwise(Sources._fields)))
@pytest.mark.parametrize("column", ["action", "agent_name", "tenant"])
def test_of_two_neighbours_the_later_one_wins(weaker: str, stronger: str, column: str) -> None:
    sources = NOTHING._replace(
        **{weaker: {column: weaker, "resource_id": "17"}, stronger: {column: stronger}}
    )

    row = stored(sources)

    assert (stronger, "17") == (row[column], row["resource_id"])


def test_what_is_still_bound_is_the_weakest_of_all() -> None:
    with bound(agent_name="bound", tenant="acme"):
        row = stored(NOTHING._replace(found={"agent_name": "found"}))

    assert ("found", "acme") == (row["agent_name"], row["tenant"])


def test_a_bound_field_is_left_to_the_handler_and_the_action_is_not() -> None:
    since = {"action": "APPROVE", "agent_id": "u-9", "request_id": "r-9"}

    assert {"action": "APPROVE"} == merged(NOTHING._replace(who={"agent_id": "u-1"}, since=since))


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"found": {"a": 1, "b": 1}, "said": {"b": 2, "c": 2}}, {"a": 1, "b": 2, "c": 2}),
        ({"found": {"a": 1}, "since": {"a": 2, "b": 2}}, {"a": 1, "b": 2}),
        ({"cleared": {"a": 1}, "found": {"b": 2}}, {"b": 2}),
        ({"cleared": {"a": 1}, "said": {"b": 2}}, {"a": 1, "b": 2}),
        ({"cleared": "a text", "said": {"b": 2}}, {"metadata": "a text", "b": 2}),
    ],
)
def test_metadata_is_merged_name_by_name(sources: dict[str, Any], expected: dict[str, Any]) -> None:
    given = {source: {"metadata": value} for source, value in sources.items()}

    assert expected == stored(NOTHING._replace(**given))["metadata"]


# Of real requests


def nothing() -> None:
    pass


def row_of(inside: Callable[[], object], before: Mapping[str, Any], **options: Any) -> Any:
    """
    Return the row of a request that comes while *before* is bound, and inside of which *inside* is
    called.
    """
    audits = Capture()

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        inside()
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with bound(**before):
        asked(AuditMiddleware(app, logger=audits.logger, **options), **as_json({"name": "Tea"}))
    return audits.row


RULE = {"policy": [Rule(level="request", action="INVITE", resource_type="person", mask="phone")]}
USER = {"get_user": lambda _scope: "u-1"}


@pytest.mark.parametrize(
    ("inside", "before", "options", "column", "expected"),
    [
        (clear, {"tenant": "acme"}, {}, "tenant", "acme"),
        (clear, {"resource_type": "outer"}, {}, "resource_type", "orders"),
        (nothing, {"resource_type": "outer"}, {}, "resource_type", "orders"),
        (nothing, {"action": "OUTER"}, {}, "action", "CREATE"),
        (nothing, {}, RULE, "action", "INVITE"),
        (nothing, {}, RULE, "resource_type", "person"),
        (lambda: bind(action="APPROVE"), {}, RULE, "action", "APPROVE"),
        (lambda: bind(action=""), {}, RULE, "action", "INVITE"),
        (nothing, {}, USER, "agent_id", "u-1"),
        (nothing, {"agent_id": "u-0"}, USER, "agent_id", "u-1"),
        (lambda: bind(agent_id="u-9"), {}, USER, "agent_id", "u-9"),
        (lambda: (bind(agent_id="u-9"), audit(agent_id="u-10")), {}, USER, "agent_id", "u-10"),
        (lambda: audit(action="APPROVE"), {}, RULE, "action", "APPROVE"),
    ],
)
def test_a_request_has_each_field_of_its_strongest_source(
    inside: Callable[[], object],
    before: dict[str, Any],
    options: dict[str, Any],
    column: str,
    expected: str,
) -> None:
    assert expected == row_of(inside, before, **options)[column]


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (nothing, "success"),
        (lambda: audit(error_message="the bank declined"), "failure"),
        (lambda: bind(error_message="the bank declined"), "failure"),
        (lambda: audit(error_message="tried twice", outcome="success"), "success"),
        (lambda: (bind(outcome="unknown"), audit(error_message="slow")), "unknown"),
        (lambda: audit(status_code=502), "failure"),
        (lambda: audit(status_code=202), "success"),
        (lambda: audit(error_message=""), "success"),
    ],
)
def test_the_outcome_follows_from_what_the_application_says_of_a_failure(
    inside: Callable[[], object], expected: str
) -> None:
    assert expected == row_of(inside, {})["outcome"]


def test_a_rule_masks_what_is_bound_and_what_is_said() -> None:
    phone = {"phone": 5}

    row = row_of(
        lambda: (bind(new_value=phone), audit(old_value=phone, metadata=phone)), {}, **RULE
    )

    hidden = {"phone": REDACTED}
    assert (hidden, hidden) == (row["old_value"], row["new_value"])
    assert hidden == row["metadata"]


def test_a_mask_does_not_change_which_source_wins() -> None:
    """A body that an outer caller had bound replaced the request's own, where a rule masked."""
    assert {"name": "Tea"} == row_of(nothing, {"request_body": "outer"}, **RULE)["request_body"]


def test_a_path_cannot_forge_a_log_line() -> None:
    audits = Capture()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    asked(AuditMiddleware(app, logger=audits.logger), path="/api/a\nCREATE /api/b: 201")

    assert r"POST '/api/a\nCREATE /api/b: 201': 404" == audits.row["message"]
    assert "/api/a\nCREATE /api/b: 201" == audits.row["endpoint"]
