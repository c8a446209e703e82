"""Type, id and name of the resource of a request, without secrets."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from audit_handler._http.redactors import Redactors
from audit_handler._record.redaction import REDACTED, Redactor
from tests.support.exchanges import answered, fields_of, resource

SOME_UUID = "0190b6a4-7c1e-7a3b-9f00-3c5d6e7f8091"


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
        ("/api/tokens", {"token_id": "t0k"}, {}, "", "t0k"),
        ("/api/tokens", {"token": "t0k"}, {}, "", ""),
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

    fields = fields_of(
        answered(
            request={"id": 7, "name": "Ada"},
            response={"detail": "Ada"},
            status=409,
            redactors=Redactors((Redactor(keys),)),
            query="id=7",
        )
    )

    assert not {"resource_id", "resource_name", "error_message"} & fields.keys()
