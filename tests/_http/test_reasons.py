"""The reason of a failure is read from the shapes in which frameworks tell it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_handler._http.reasons import reason_in
from audit_handler._http.redactors import Redactors
from audit_handler._record.redaction import REDACTED, Redactor
from tests.support.exchanges import DEFAULT

CASES: dict[str, tuple[int, Any, str | None]] = {
    "a detail": (404, {"detail": "Order not found"}, "Order not found"),
    "a number": (409, {"error": 409}, "409"),
    "a line": (404, "Not Found\n", "Not Found"),
    "FastAPI": (
        422,
        {
            "detail": [
                {
                    "type": "value_error",
                    "loc": ["body", "email"],
                    "msg": "value is not a valid email address",
                    "input": "s3cr3t",
                    "ctx": {"reason": "no @"},
                },
                {
                    "type": "int_parsing",
                    "loc": ["query", "page", 0],
                    "msg": "Input should be a valid integer",
                    "input": "s3cr3t",
                    "url": "https://errors.pydantic.dev/2/v/int_parsing",
                },
            ]
        },
        "body.email: value is not a valid email address; "
        "query.page.0: Input should be a valid integer",
    ),
    "FastAPI, of a password": (
        422,
        {
            "detail": [
                {"loc": ["body", "password"], "msg": "String is too short", "input": "s3cr3t"},
                {"loc": ["body", "name"], "msg": "Field required", "input": {"pin": "s3cr3t"}},
            ]
        },
        "String is too short (body.password); body.name: Field required",
    ),
    "pydantic's errors as they are": (
        400,
        [{"loc": ["age"], "msg": "too young"}],
        "age: too young",
    ),
    "flask-pydantic": (
        400,
        {"validation_error": {"body_params": [{"loc": ["age"], "msg": "too young"}]}},
        "body_params.age: too young",
    ),
    "Litestar": (
        400,
        {
            "status_code": 400,
            "detail": "Validation failed for POST /orders",
            "extra": [{"message": "Expected `int`, got `str`", "key": "page", "source": "query"}],
        },
        "Validation failed for POST /orders: page: Expected `int`, got `str`",
    ),
    "Django REST framework": (
        400,
        {
            "email": ["Enter a valid email address."],
            "items": [{}, {"quantity": ["A valid integer is required."]}],
            "address": {"city": ["This field is required."]},
            "non_field_errors": ["The dates are in the wrong order."],
        },
        "email: Enter a valid email address; items.1.quantity: A valid integer is required; "
        "address.city: This field is required; The dates are in the wrong order",
    ),
    "Django REST framework, a list": (400, ["Invalid order."], "Invalid order"),
    "Django REST framework, of a password": (
        400,
        {"password": ["s3cr3t is too common."], "name": ["This field is required."]},
        f"{REDACTED} (password); name: This field is required",
    ),
    "Rails": (422, {"errors": {"name": ["can't be blank"]}}, "name: can't be blank"),
    "Rails, whole sentences": (422, {"errors": ["Name is bad", "x"]}, "Name is bad; x"),
    "Laravel": (
        422,
        {
            "message": "The email field is required. (and 1 more error)",
            "errors": {"email": ["The email field is required."], "name": ["Too long."]},
        },
        "The email field is required. (and 1 more error)",
    ),
    "marshmallow": (
        422,
        {"code": 422, "errors": {"json": {"name": ["Missing data."]}}, "status": "Unprocessable"},
        "json.name: Missing data",
    ),
    "texts by field": (
        400,
        {"errors": {"email": "is invalid", "title": "is too long", "value": "s3cr3t"}},
        "email: is invalid; title: is too long",
    ),
    "RFC 9457, a detail": (
        403,
        {"type": "/credit", "title": "Not enough credit.", "detail": "It costs 50.", "balance": 30},
        "It costs 50.",
    ),
    "RFC 9457, a title": (403, {"type": "about:blank", "title": "No credit"}, "No credit"),
    "RFC 9457, errors": (
        422,
        {
            "type": "https://example.net/validation-error",
            "title": "Your request is not valid.",
            "errors": [
                {"detail": "must be a positive integer", "pointer": "#/age"},
                {"detail": "must be 'green'", "pointer": "#/profile/a~1b"},
            ],
        },
        "Your request is not valid: age: must be a positive integer; profile.a/b: must be 'green'",
    ),
    "RFC 7807, its example": (
        400,
        {
            "type": "https://example.net/validation-error",
            "title": "Your parameters didn't validate.",
            "invalid-params": [{"name": "age", "reason": "must be positive"}],
        },
        "Your parameters didn't validate: age: must be positive",
    ),
    "ASP.NET": (
        400,
        {"title": "One or more errors occurred.", "status": 400, "errors": {"Email": ["Bad."]}},
        "One or more errors occurred: Email: Bad",
    ),
    "JSON:API": (
        422,
        {
            "errors": [
                {
                    "status": "422",
                    "source": {"pointer": "/data/attributes/firstName"},
                    "title": "Invalid Attribute",
                    "detail": "First name must contain two characters.",
                },
                {"source": {"parameter": "include"}, "title": "Invalid Query Parameter"},
            ]
        },
        "data.attributes.firstName: First name must contain two characters; "
        "include: Invalid Query Parameter",
    ),
    "GraphQL": (
        400,
        {"errors": [{"message": "No such field", "locations": [{"line": 1}], "path": ["me", 0]}]},
        "me.0: No such field",
    ),
    "Spring": (
        400,
        {
            "timestamp": "2026-11-27T20:00:00Z",
            "status": 400,
            "error": "Bad Request",
            "message": "Validation failed",
            "errors": [{"field": "age", "defaultMessage": "too young", "rejectedValue": "s3cr3t"}],
            "path": "/api/orders",
        },
        "Validation failed: age: too young",
    ),
    "NestJS": (
        400,
        {"statusCode": 400, "message": ["email must be an email", "x"], "error": "Bad Request"},
        "email must be an email; x",
    ),
    "OAuth": (
        400,
        {"error": "invalid_grant", "error_description": "The code has expired."},
        "invalid_grant: The code has expired.",
    ),
    "an error that is an object": (
        429,
        {"error": {"message": "Too fast", "type": "requests", "param": None, "code": 7}},
        "Too fast",
    ),
    "only the name of the status": (404, {"detail": "Not Found"}, "Not Found"),
    "a resource": (409, {"id": 7, "title": "Tea", "tags": ["a"], "owner": {"x": "y"}}, None),
    "lists of a resource": (409, {"tags": ["a", "b"]}, None),
    "what was sent": (400, {"error": {"field": "email", "value": "s3cr3t"}}, None),
    "what was sent, in a list": (400, {"detail": [{"field": "email", "text": "s3cr3t"}]}, None),
    "a page": (404, "<html><title>404</title></html>", None),
    "a description": (404, "<image/png, 4 bytes>", None),
    "many lines": (500, "Traceback\n  line 1\n", None),
    "nothing": (400, {}, None),
    "no object": (400, 7, None),
}


@pytest.mark.parametrize(("status", "body", "expected"), CASES.values(), ids=CASES)
def test_a_failure_says_why_in_the_shape_of_its_framework(
    status: int, body: Any, expected: str | None
) -> None:
    assert expected == reason_in(body, status, DEFAULT)


def test_faults_that_are_too_deep_are_left_out() -> None:
    deep: Any = "s"
    for _ in range(50):
        deep = {"a": deep}

    assert reason_in({"errors": deep}, 400, DEFAULT) is None
    assert reason_in(deep | {"b": ["x"]}, 400, DEFAULT) is None
    assert "a: x" == reason_in({"errors": {"a": "x", "b": deep}}, 400, DEFAULT)


def test_many_faults_are_cut() -> None:
    faults = [{"loc": ["body", "x" * 500], "msg": "m" * 500}] * 100

    reason = reason_in({"detail": faults}, 422, DEFAULT)
    few = reason_in({"detail": [{"msg": "m"}] * 9}, 422, DEFAULT)

    assert 1000 == len(str(reason))
    assert "m; m; m; m; m; m; m; m; ..." == few


def test_a_fault_is_one_line() -> None:
    body = {"detail": [{"loc": ["body", "a\nb"], "msg": "one\n\ttwo  three"}]}

    assert "body.a b: one two three" == reason_in(body, 422, DEFAULT)


def test_keys_that_a_handler_redacts_say_nothing() -> None:
    redactors = Redactors((Redactor(["msg", "detail", "email"]),))
    fault = {"loc": ["body"], "msg": "s3cr3t"}

    assert reason_in({"detail": [fault]}, 422, redactors) is None
    assert reason_in({"errors": [fault]}, 422, redactors) is None
    assert f"{REDACTED} (email)" == reason_in({"email": ["s3cr3t"]}, 400, redactors)
    assert f"{REDACTED} (email)" == reason_in(
        {"errors": {"email": {"loc": "s3cr3t", "message": "s3cr3t"}}}, 400, redactors
    )
    assert f"{REDACTED} (email)" == reason_in({"errors": {"email": "s3cr3t"}}, 400, redactors)


def test_what_a_rule_has_masked_stays_masked() -> None:
    body = {"email": REDACTED, "name": ["Too long."]}

    assert f"email: {REDACTED}; name: Too long" == reason_in(body, 400, DEFAULT)


NAMES = st.sampled_from(
    ["detail", "errors", "error", "message", "loc", "msg", "title", "field", "source", "a", "input"]
)
BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(body=BODIES, status=st.integers(400, 599))
def test_any_body_has_a_reason_or_none(body: Any, status: int) -> None:
    reason = reason_in(body, status, DEFAULT)

    assert reason is None or (reason and type(reason) is str)


@settings(deadline=None, max_examples=300)
@given(
    secret_name=st.sampled_from(["password", "api_key", "new-password", "client_secret"]),
    body=st.recursive(
        st.just("S3CR3T") | st.lists(st.just("S3CR3T"), min_size=1),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=8,
    ),
    outer=st.sampled_from(["", "errors", "detail", "error"]),
)
def test_no_value_under_a_secret_key_is_a_reason(secret_name: str, body: Any, outer: str) -> None:
    failure: Any = {secret_name: body}

    reason = reason_in({outer: failure} if outer else failure, 400, DEFAULT)

    assert "S3CR3T" not in json.dumps(reason)
