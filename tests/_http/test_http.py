"""
The HTTP rules: which requests are audited, what they were about, and what is kept of them.
"""

from __future__ import annotations

import gzip
import json
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from audit_handler._http import Exchange, HttpRules
from audit_handler._http.bodies import Body, pairs
from audit_handler._http.caller import agent_fields, request_fields, session_fields
from audit_handler._http.redactors import Redactors
from audit_handler._record.redaction import REDACTED, Redactor
from audit_handler.errors import ConfigurationError
from audit_handler.policy import Rule

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
SOME_UUID = "0190b6a4-7c1e-7a3b-9f00-3c5d6e7f8091"


def body_of(data: bytes, headers: dict[str, str], limit: int = 65_536) -> Body:
    """
    Return a body that came in chunks of seven bytes.
    """
    body = Body(headers, limit)
    for at in range(0, len(data), 7):
        body.add(data[at : at + 7])
    return body


DEFAULT = Redactors((Redactor(),))
RULES = HttpRules(
    methods=["POST", "PUT", "PATCH", "DELETE", "GET", "PURGE"], path_prefixes=["/api", "/"]
)


def begun(
    method: str,
    path: str,
    headers: dict[str, str],
    *,
    rules: HttpRules = RULES,
    redactors: Redactors = DEFAULT,
    **facts: Any,
) -> Exchange:
    return Exchange(
        rules=rules,
        redactors=redactors,
        candidates=rules.candidates(method, path),
        method=method,
        path=path,
        request_headers=headers,
        **facts,
    )


def fields_of(exchange: Exchange, user: str = "") -> dict[str, Any]:
    rule = exchange.decide(user)
    assert rule is not None
    return exchange.fields(rule)


def answered(
    method: str = "POST",
    path: str = "/api/orders",
    *,
    request: Any = None,
    response: Any = None,
    status: int = 201,
    **facts: Any,
) -> Exchange:
    """
    Return an exchange whose bodies are JSON and whose response is complete.
    """
    exchange = begun(method, path, JSON, is_complete=True, **facts)
    if request is not None:
        exchange.request_body.add(json.dumps(request).encode())
    exchange.start_response(status, JSON)
    if response is not None:
        exchange.response_body.add(json.dumps(response).encode())
    return exchange


def resource(exchange: Exchange) -> tuple[str, str]:
    fields = fields_of(exchange)
    return fields.get("resource_type", ""), fields.get("resource_id", "")


# Which requests


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


# What was done, to what


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
    ("path", "params", "expected"),
    [
        ("/api/orders", {}, ("orders", "")),
        ("/api/orders/17", {}, ("orders", "17")),
        ("/api/orders/17/", {"order_id": 17}, ("orders", "17")),
        ("/api/v1/orders/17", {"order_id": 17}, ("orders", "17")),
        ("/api/v2.1/orders", {}, ("orders", "")),
        (f"/api/users/{SOME_UUID}", {}, ("users", SOME_UUID)),
        (f"/api/users/{SOME_UUID.upper()}", {}, ("users", SOME_UUID.upper())),
        ("/api/users/ada", {"username": "ada"}, ("users", "ada")),
        ("/api/orders/17/items/3", {}, ("items", "3")),
        ("/api/orders/17/items", {"order_id": 17}, ("items", "")),
        ("/api/users/ada/avatar", {"username": "ada"}, ("avatar", "ada")),
        ("/api/acme/orders", {"tenant": "acme"}, ("orders", "")),
        ("/api/files/a/b.txt", {"path": "a/b.txt"}, ("files", "a/b.txt")),
        ("/api/orders/17", {"kind": "orders", "id": 17}, ("orders", "17")),
        ("/orders/17", {"kind": "orders", "id": 17}, ("orders", "17")),
        ("/users/ada", {"username": "ada"}, ("users", "ada")),
        ("/17", {}, ("", "17")),
        ("/", {}, ("", "")),
    ],
)
def test_the_path_names_type_and_id(
    path: str, params: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert expected == resource(answered(path=path, path_params=params))


@pytest.mark.parametrize(
    ("path", "request_body", "response_body", "query", "expected"),
    [
        ("/api/orders/17", {"id": 18}, {"id": 19}, "id=20", "17"),
        ("/api/orders", {"id": 18}, {"id": 19}, "id=20", "18"),
        ("/api/orders", {"order_id": 18}, {"id": 19}, "id=20", "18"),
        ("/api/orders", {"customer_id": 4}, {"id": 19}, "id=20", "19"),
        ("/api/orders", {}, {"orderId": "A-19"}, "id=20", "A-19"),
        ("/api/orders", {}, [{"id": 19}], "id=20", "20"),
        ("/api/categories", {"category_id": "c"}, {}, "", "c"),
        ("/api/addresses", {"address_id": "a"}, {}, "", "a"),
        ("/api/order-items", {"order_item_id": 0}, {}, "", "0"),
        ("/api/orders/17/items", {"quantity": 2}, {"id": 3}, "", "3"),
        ("/api/tokens", {"token_id": "t0k"}, {}, "", ""),
        ("/api/orders", {"id": None}, {"id": {"nested": 1}}, "", ""),
        ("/api/orders", {"id": True}, "just text", "", ""),
    ],
)
def test_the_id_is_looked_for_in_path_request_response_and_query(
    path: str, request_body: Any, response_body: Any, query: str, expected: str
) -> None:
    exchange = answered(path=path, request=request_body, response=response_body, query=query)

    assert expected == resource(exchange)[1]


def test_the_resource_name_comes_from_the_request_before_the_response() -> None:
    both = answered(request={"title": "Sent"}, response={"name": "Answered"})
    one = answered(request={"name": ["no", "text"]}, response={"name": "Answered"})

    assert "Sent" == fields_of(both)["resource_name"]
    assert "Answered" == fields_of(one)["resource_name"]


def test_a_secret_in_the_path_is_kept_nowhere() -> None:
    exchange = answered(
        path="/api/reset/s3cr3t-value/now",
        path_params={"reset_token": "s3cr3t-value"},
        route="/api/reset/{reset_token}/now",
    )

    fields = fields_of(exchange)

    assert f"/api/reset/{REDACTED}/now" == fields["endpoint"]
    assert ("now", REDACTED) == (fields["resource_type"], fields["resource_id"])
    assert "s3cr3t" not in json.dumps(Redactor().clean(fields))


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (f"/api/reset/{SOME_UUID.upper()}", uuid.UUID(SOME_UUID), f"/api/reset/{REDACTED}"),
        (f"/api/reset/{uuid.UUID(SOME_UUID).hex}", uuid.UUID(SOME_UUID), f"/api/reset/{REDACTED}"),
        ("/api/reset/0042", 42, f"/api/reset/{REDACTED}"),
        ("/api/reset/000", 0, f"/api/reset/{REDACTED}"),
        ("/api/reset/s3cr3t.json", "s3cr3t", f"/api/reset/{REDACTED}.json"),
        ("/api/reset/as3cr3t", "s3cr3t", f"/api/reset/a{REDACTED}"),
        ("/api/reset/a/b", "a/b", f"/api/reset/{REDACTED}/{REDACTED}"),
        ("/api/reset//", "", "/api/reset//"),
        ("/api/reset/pi", "pi", f"/api/reset/{REDACTED}"),
    ],
)
def test_a_secret_in_the_path_is_found_however_the_router_read_it(
    path: str, value: Any, expected: str
) -> None:
    """A UUID or a number that a converter made of it is written otherwise than in the path."""
    fields = fields_of(answered(path=path, path_params={"token": value}))

    assert (expected, "reset") == (fields["endpoint"], fields["resource_type"])


def test_a_secret_is_no_type_where_the_kind_is_a_parameter_too() -> None:
    params = {"kind": "links", "token": "s3cr3t"}

    assert ("links", REDACTED) == resource(answered(path="/api/links/s3cr3t", path_params=params))


def test_what_any_handler_redacts_is_in_no_column_of_text() -> None:
    """Keys are a handler's own; what is worked out from body, path and query has lost them."""
    exchange = answered(
        path="/api/people/DE02",
        path_params={"iban": "DE02"},
        request={"name": "Ada", "title": "iban=DE02"},
        query="person_id=DE02",
        redactors=Redactors((Redactor(["name", "person"]), Redactor(["iban"]))),
    )

    fields = fields_of(exchange)

    assert f"/api/people/{REDACTED}" == fields["endpoint"]
    assert REDACTED == fields["resource_id"]
    assert f"iban={REDACTED}" == fields["resource_name"]


def test_a_value_under_a_redacted_key_is_no_id_name_or_reason() -> None:
    keys = ["name", "title", "id", "detail"]
    facts = {"redactors": Redactors((Redactor(keys),)), "query": "id=7", "status": 409}

    fields = fields_of(
        answered(request={"id": 7, "name": "Ada"}, response={"detail": "Ada"}, **facts)
    )

    assert not {"resource_id", "resource_name", "error_message"} & fields.keys()


# How it ended


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


# As a policy wants it


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


# Bodies


@pytest.mark.parametrize(
    ("data", "headers", "expected"),
    [
        (b'{"a": [1, 1.5, null]}', JSON, {"a": [1, 1.5, None]}),
        (b'{"a": 1}', {"content-type": "application/problem+json; charset=utf-8"}, {"a": 1}),
        (b'{"a": 1}', FORM, {"a": 1}),
        (b'{"a": 1}', {}, {"a": 1}),
        ('{"a": "é"}'.encode("utf-16"), JSON, {"a": "é"}),
        (b"{not json", JSON, "{not json"),
        (b"[" * 5000, JSON, "[" * 5000),
        (b"a=1&b=x%20y&b=z", FORM, {"a": "1", "b": ["x y", "z"]}),
        (b"&".join([b"a=1"] * 1001), FORM, "<more than 1000 fields, 4003 characters>"),
        (b"hello", {"content-type": "text/plain"}, "hello"),
        (b"h\xe9", {"content-type": "text/plain; charset=ISO-8859-1"}, "hé"),
        (b"h\xe9", {"content-type": "text/plain; charset=punycode"}, "h�"),
        (b"\x89PNG", {"content-type": "image/png"}, "<image/png, 4 bytes>"),
        (b"<password>x</password>", {"content-type": "text/xml"}, "<text/xml, 22 bytes>"),
        (b"user,password\nbob,x\n", {"content-type": "text/csv"}, "<text/csv, 20 bytes>"),
        (
            gzip.compress(b"{}", mtime=0),
            {**JSON, "content-encoding": "gzip"},
            f"<gzip of application/json, {len(gzip.compress(b'{}'))} bytes>",
        ),
        (b"", JSON, None),
    ],
)
def test_a_body_is_kept_by_its_type(data: bytes, headers: dict[str, str], expected: Any) -> None:
    body = body_of(data, headers)

    assert expected == body.value()
    assert not body.is_cut


@pytest.mark.parametrize(
    "text",
    [
        "[18446744073709551615, 18446744073709551616, -9223372036854775809, 1e400]",
        '{"a": 123456789012345678901234567890, "b": [1.5, -0, 1e3]}',
        '[NaN, Infinity, "\\ud800"]',
        '{"a": 1, "a": {"b": [null, true, "\\u00e9"]}}',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_a_json_body_is_what_json_says(text: str, encoding: str) -> None:
    """A faster parser takes integers of more than 64 bits for floats, and refuses NaN."""
    body = body_of(text.encode(encoding), JSON)

    assert repr(json.loads(text)) == repr(body.value())


def test_a_long_text_is_cut_and_says_so() -> None:
    body = body_of(b"x" * 1000, {"content-type": "text/plain"}, limit=100)

    assert "x" * 100 == body.value()
    assert body.is_cut
    assert 1000 == body.size


def test_a_body_keeps_nothing_of_what_it_only_describes() -> None:
    body = body_of(b"x" * 1000, {"content-type": "video/mp4"})

    assert b"" == bytes(body._data)
    assert "<video/mp4, 1000 bytes>" == body.value()


def test_no_body_is_kept_with_a_limit_of_zero() -> None:
    body = body_of(b"x" * 1000, {"content-type": "text/plain"}, limit=0)

    assert body.value() is None
    assert not body.is_cut


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ("{", {}),
        ('{"id": 7', {}),
        ('{"id": 7, "us', {"id": 7}),
        ('{"id": 7, "password": {"new', {"id": 7, "password": {}}),
        ('{"password": {"new": "a\\"},}", "old": "b', {"password": {"new": 'a"},}'}}),
        ('{"password": {"new": "a"}, "tags": [1, 2', {"password": {"new": "a"}, "tags": [1]}),
        ('[{"id": 1}, {"id": 2}', [{"id": 1}, {"id": 2}]),
    ],
)
def test_cut_json_is_closed_where_it_was_cut(kept: str, expected: Any) -> None:
    """
    As text, a secret that is an object or a list would be out of the redactor's reach.
    """
    body = body_of(f"{kept} and more".encode(), JSON, limit=len(kept))

    assert expected == body.value()
    assert body.is_cut


@pytest.mark.parametrize("data", [b"}}}}" * 200, b'"' * 999, b"nonsense" * 100])
def test_cut_nonsense_is_kept_as_text(data: bytes) -> None:
    assert data[:500].decode() == body_of(data, JSON, limit=500).value()


def test_cut_json_is_closed_no_deeper_than_the_redactor_goes() -> None:
    """
    Deeper, closing the brackets would take time that grows with the square of the body.
    """
    assert json.loads("[" * 64 + "]" * 64) == body_of(b"[" * 9000, JSON, limit=8000).value()


def test_a_query_of_too_many_fields_is_described() -> None:
    assert {} == pairs("")
    assert "<more than 1000 fields, 2200 characters>" == pairs("a&" * 1100)


TYPES = ["application/json", "application/x-www-form-urlencoded", "text/plain", "image/png", ""]
CHARSETS = ["", "; charset=utf-16", "; charset=utf-16-le", "; charset=latin-1", "; charset=zip"]


@settings(deadline=None)  # the first example pays for imports, and CI machines are slow
@given(
    data=st.binary(max_size=200) | st.text('{}[]",:\\\\au0', max_size=200).map(str.encode),
    content_type=st.builds(str.__add__, st.sampled_from(TYPES), st.sampled_from(CHARSETS)),
    limit=st.integers(0, 100),
    path=st.text(max_size=50),
    query=st.text(max_size=50),
    params=st.dictionaries(st.text(max_size=9), st.text(max_size=9) | st.integers(), max_size=3),
)
def test_nothing_that_a_client_sends_raises(
    data: bytes,
    content_type: str,
    limit: int,
    path: str,
    query: str,
    params: dict[str, Any],
) -> None:
    headers = {"content-type": content_type}
    rules = HttpRules(max_body_bytes=limit, policy=[Rule(level="request_response")])
    exchange = begun("POST", path, headers, rules=rules, query=query, path_params=params)
    exchange.request_body.add(data)
    exchange.start_response(200, headers)
    exchange.response_body.add(data)

    assert "CREATE" == fields_of(exchange)["action"]


# Who, and from where


def test_a_plain_request_id_is_taken_over() -> None:
    assert (
        "order-7:a.b_C"
        == request_fields({"x-request-id": "order-7:a.b_C"}, None, DEFAULT)["request_id"]
    )


@pytest.mark.parametrize("sent", ["", "x" * 129, "a b", "a\n", "ü", "'; DROP TABLE"])
def test_a_strange_request_id_is_replaced(sent: str) -> None:
    first = request_fields({"x-request-id": sent}, None, DEFAULT)["request_id"]
    second = request_fields({"x-request-id": sent}, None, DEFAULT)["request_id"]

    assert uuid.UUID(first) != uuid.UUID(second)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (f"00-{'a1' * 16}-{'b2' * 8}-01", "a1" * 16),
        (f"42-{'a1' * 16}-{'b2' * 8}-01-later", "a1" * 16),
        (f"00-{'a1' * 16}-{'b2' * 8}-01-later", None),
        (f"ff-{'a1' * 16}-{'b2' * 8}-01", None),
        (f"00-{'0' * 32}-{'b2' * 8}-01", None),
        (f"00-{'a1' * 16}-{'0' * 16}-01", None),
        (f"00-{'A1' * 16}-{'b2' * 8}-01", None),
        ("00-abc", None),
    ],
)
def test_the_trace_id_comes_from_a_valid_traceparent(sent: str, expected: str | None) -> None:
    assert expected == request_fields({"traceparent": sent}, None, DEFAULT).get("trace_id")


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
        # Nobody trusted called: whatever the header says.
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


@pytest.mark.parametrize("proxy", ["*", "proxy.example", "10.0.0.1/8", "", "10.0.0.0/33"])
def test_a_proxy_that_is_no_address_is_refused(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match=r"trusted_proxies has .*; name an address or"):
        HttpRules(trusted_proxies=[proxy])


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
