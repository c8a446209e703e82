"""What a request and its response tell the audit: action, outcome, bodies, headers, metadata."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_handler._http import HttpRules
from audit_handler._record.encoder import REDACT_EXCEPT
from audit_handler._record.redaction import REDACTED, Redactor
from audit_handler.policy import Rule
from tests.support.exchanges import JSON, answered, begun, fields_of


@pytest.mark.parametrize(
    ("method", "action"),
    [
        ("POST", "CREATE"),
        ("PUT", "UPDATE"),
        ("PATCH", "UPDATE"),
        ("DELETE", "DELETE"),
        ("GET", "READ"),
        ("PURGE", "PURGE"),
    ],
)
def test_the_method_names_the_action(method: str, action: str) -> None:
    assert action == fields_of(answered(method))["action"]


@pytest.mark.parametrize(
    ("path", "request_body", "expected"),
    [
        ("/api/orders", {"name": "Tea"}, ("orders", "", "Tea")),
        ("/api/orders", {}, ("orders", "", "")),
        ("/api/orders", {"id": 18}, ("orders", "18", "")),
        ("/api/orders/17/items", {"quantity": 2}, ("items", "", "")),
        ("/api/orders/17/approve", {}, ("approve", "17", "")),
    ],
)
def test_what_a_refusal_is_called_is_no_resource(
    path: str, request_body: Any, expected: tuple[str, str, str]
) -> None:
    """The body of a failure is about the failure, as in RFC 9457."""
    problem = {"id": "err-1", "title": "Unprocessable", "detail": "no stock"}

    fields = fields_of(answered(path=path, request=request_body, response=problem, status=422))

    names = ("resource_type", "resource_id", "resource_name")
    assert expected == tuple(fields.get(name, "") for name in names)
    assert "no stock" == fields["error_message"]


def test_a_whole_answer_takes_its_outcome_from_the_status() -> None:
    outcomes = {s: fields_of(answered(status=s))["outcome"] for s in (200, 303, 307, 308, 404, 500)}

    assert {
        200: "success",
        303: "success",
        307: "unknown",
        308: "unknown",
        404: "failure",
        500: "failure",
    } == outcomes


def test_a_refusal_says_why() -> None:
    assert (
        "no stock"
        == fields_of(answered(status=409, response={"detail": "no stock"}))["error_message"]
    )
    assert "error_message" not in fields_of(answered(status=200, response={"detail": "x"}))


def test_an_exception_is_an_error_with_status_500() -> None:
    exchange = begun("PUT", "/api/a", {})
    exchange.error = KeyError("x")

    fields = fields_of(exchange)

    assert ("ERROR", 500, "failure") == (
        fields["action"],
        fields["status_code"],
        fields["outcome"],
    )


@pytest.mark.parametrize(
    ("facts", "status", "mark"),
    [
        ({"is_disconnected": True}, 499, "client_disconnected"),
        ({"is_disconnected": True, "status": 200}, 200, "client_disconnected"),
        ({"is_disconnected": True, "error": OSError()}, 499, "client_disconnected"),
        ({"error": KeyboardInterrupt()}, 499, "cancelled"),
    ],
)
def test_an_exchange_that_was_broken_off_failed_without_an_error(
    facts: dict[str, Any], status: int, mark: str
) -> None:
    exchange = begun("PUT", "/api/a", {}, **facts)

    fields = fields_of(exchange)

    assert ("UPDATE", status, "failure") == (
        fields["action"],
        fields["status_code"],
        fields["outcome"],
    )
    assert fields["metadata"][mark] is True


def test_the_response_time_is_what_the_clock_says() -> None:
    ticks = iter([10.0, 10.0426])

    assert 43 == fields_of(answered(clock=lambda: next(ticks)))["response_time_ms"]


def test_only_the_chosen_headers_are_kept() -> None:
    headers = {"user-agent": "curl", "authorization": "Bearer x", "cookie": "a=b", "origin": "o"}
    exchange = begun("PUT", "/api/a", headers)
    exchange.start_response(200, {"content-type": "text/plain", "set-cookie": "a=b"})

    fields = fields_of(exchange)

    assert {"user-agent": "curl", "origin": "o"} == fields["request_headers"]
    assert {"content-type": "text/plain"} == fields["response_headers"]


def test_query_and_route_are_kept_as_metadata() -> None:
    exchange = answered(
        path="/api/orders/17",
        path_params={"order_id": 17},
        route="/api/orders/{order_id}",
        query="dry=1&tag=a&tag=b&tag=c&empty=",
    )

    assert {
        "query_params": {"dry": "1", "tag": ["a", "b", "c"], "empty": ""},
        "path_params": {"order_id": 17},
        "route": "/api/orders/{order_id}",
    } == fields_of(exchange)["metadata"]


def told(rule: Rule, **facts: Any) -> dict[str, Any]:
    """Return the audit of a creation that was refused, as *rule* wants it."""
    exchange = begun(
        "POST",
        "/api/people/ada@example.org",
        JSON,
        rules=HttpRules(policy=[rule]),
        is_complete=True,
        path_params={"email": "ada@example.org"},
        query="email=ada%40example.org&dry=1",
        **facts,
    )
    exchange.request_body.add(b'{"name": "Ada", "born": {"birthday": "1815-12-10"}}')
    exchange.start_response(409, JSON)
    exchange.response_body.add(b'{"detail": "Ada is known", "id": 17}')
    return fields_of(exchange)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("metadata", set()),
        ("request", {"request_body", "resource_name"}),
        ("request_response", {"request_body", "resource_name", "response_body", "error_message"}),
    ],
)
def test_the_level_says_what_bodies_may_tell(level: str, expected: set[str]) -> None:
    fields = told(Rule(level=level))

    from_bodies = {"request_body", "response_body", "resource_name", "error_message"}
    assert expected == from_bodies & fields.keys()
    assert ("people", 409) == (fields["resource_type"], fields["status_code"])


def test_a_rule_names_fields_that_are_not_redacted() -> None:
    assert ("device_code",) == told(Rule(level="request", redact_except="device_code"))[
        REDACT_EXCEPT
    ]
    assert REDACT_EXCEPT not in told(Rule(level="request"))


def test_a_mask_leaves_nothing_that_it_covers() -> None:
    """Neither in bodies, query and path, nor in what is worked out from them."""
    fields = told(Rule(level="request_response", mask=["birthday", "email", "name", "detail"]))

    assert {"name": REDACTED, "born": {"birthday": REDACTED}} == fields["request_body"]
    assert {"detail": REDACTED, "id": 17} == fields["response_body"]
    assert {"email": REDACTED, "dry": "1"} == fields["metadata"]["query_params"]
    assert f"/api/people/{REDACTED}" == fields["endpoint"]
    assert "Ada" not in json.dumps(fields)
    assert "example.org" not in json.dumps(fields)
    assert "1815" not in json.dumps(fields)


def test_a_mask_covers_a_body_that_was_cut_and_what_is_found_in_it() -> None:
    rules = HttpRules(
        max_body_bytes=60,
        policy=[Rule(level="request_response", mask=["birthday", "name"])],
    )
    exchange = begun("POST", "/api/people", JSON, rules=rules)
    exchange.request_body.add(
        b'{"id": 7, "name": "Ada", "birthday": ["1815-12-10"], "x": "Lovelace"}'
    )
    exchange.start_response(201, {})

    fields = fields_of(exchange)

    assert "7" == fields["resource_id"]
    assert "resource_name" not in fields
    assert fields["request_body"].startswith('{"id": 7, "name": ')
    assert fields["request_body"].endswith('"x": "L')
    assert "Ada" not in fields["request_body"]
    assert "1815" not in fields["request_body"]
    assert {"request_body": 69} == fields["metadata"]["_truncated_body"]


def kept(policy: list[Rule], status: int = 200) -> tuple[bytes, bytes]:
    exchange = begun("POST", "/api/a", JSON, rules=HttpRules(policy=policy))
    exchange.request_body.add(b"request")
    exchange.start_response(status, JSON)
    exchange.response_body.add(b"response")
    return bytes(exchange.request_body._data), bytes(exchange.response_body._data)


def test_no_more_of_the_bodies_is_held_than_a_rule_may_want() -> None:
    """What decides at the end decides what is stored, but nothing is held in vain until then."""
    failed = Rule(level="request_response", statuses="4xx")
    mine = Rule(level="request", users="u-1")

    assert (b"", b"") == kept([Rule(level="metadata")])
    assert (b"request", b"") == kept([mine, Rule(level="metadata")])
    assert (b"request", b"response") == kept([failed, Rule(level="metadata")], 404)
    assert (b"request", b"") == kept([failed, Rule(level="metadata")], 200)
    assert (b"", b"") == kept([Rule(level="none", paths="/api"), failed])


TYPES = [
    *("application/json", "application/x-www-form-urlencoded", "text/plain", "image/png", ""),
    *("multipart/form-data; boundary=b", "text/csv", "application/xml"),
]


CHARSETS = ["", "; charset=utf-16", "; charset=utf-16-le", "; charset=latin-1", "; charset=zip"]


CODINGS = ["", "Identity", "gzip", "deflate", "gzip, deflate", "br", "\0"]


WRAPPINGS: list[Callable[[bytes], bytes]] = [
    bytes,
    gzip.compress,
    zlib.compress,
    lambda data: b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + data + b"\r\n--b--",
    lambda data: b"\xff\xfe" + data.decode("latin-1").encode("utf-16-le"),
]


@settings(deadline=None)  # the first example pays for imports, and CI machines are slow
@given(
    data=st.binary(max_size=200) | st.text('{}[]",:\\\\au0', max_size=200).map(str.encode),
    wrap=st.sampled_from(WRAPPINGS),
    content_type=st.builds(str.__add__, st.sampled_from(TYPES), st.sampled_from(CHARSETS)),
    coding=st.sampled_from(CODINGS),
    status=st.sampled_from([200, 400, 422]),
    limit=st.integers(0, 100),
    path=st.text(max_size=50),
    query=st.text(max_size=50),
    params=st.dictionaries(st.text(max_size=9), st.text(max_size=9) | st.integers(), max_size=3),
)
def test_nothing_that_a_client_sends_raises(
    data: bytes,
    wrap: Callable[[bytes], bytes],
    content_type: str,
    coding: str,
    status: int,
    limit: int,
    path: str,
    query: str,
    params: dict[str, Any],
) -> None:
    data = wrap(data)
    headers = {"content-type": content_type, "content-encoding": coding}
    rules = HttpRules(max_body_bytes=limit, policy=[Rule(level="request_response")])
    exchange = begun("POST", path, headers, rules=rules, query=query, path_params=params)
    exchange.request_body.add(data)
    exchange.start_response(status, headers)
    exchange.response_body.add(data)

    assert "CREATE" == fields_of(exchange)["action"]


@settings(deadline=None)
@given(
    key=st.sampled_from(["password", "api_key", "clientSecret"]),
    before=st.dictionaries(st.text(max_size=9), st.text(max_size=9) | st.integers(), max_size=3),
    wrap=st.sampled_from(WRAPPINGS[:4]),
    content_type=st.builds(str.__add__, st.sampled_from(TYPES), st.sampled_from(CHARSETS)),
    coding=st.sampled_from(CODINGS),
    status=st.sampled_from([200, 400, 422]),
    left_out=st.integers(0, 40),
)
def test_no_secret_of_a_json_body_is_stored_whatever_the_headers_say(
    key: str,
    before: dict[str, Any],
    wrap: Callable[[bytes], bytes],
    content_type: str,
    coding: str,
    status: int,
    left_out: int,
) -> None:
    """Neither of a whole body, nor of one that is cut before, behind, or inside of the secret."""
    body = {**before, key: {"old": ["S3CR3T-1"]}, "list": [{key: "S3CR3T-2"}], "end": "x" * 9}
    data = wrap(json.dumps(body).encode())
    headers = {"content-type": content_type, "content-encoding": coding}
    rules = HttpRules(max_body_bytes=len(data) - left_out, policy=[Rule(level="request_response")])
    exchange = begun("POST", "/api/orders", headers, rules=rules)
    exchange.request_body.add(data)
    exchange.start_response(status, headers)
    exchange.response_body.add(data)

    stored = Redactor().encode_members(fields_of(exchange))

    assert b"S3CR3T" not in stored
