"""The ids of a request: the client's if they are valid, else new ones."""

from __future__ import annotations

import uuid

import pytest

from audit_handler._http.request_ids import request_ids


def test_a_plain_request_id_is_taken_over() -> None:
    assert "order-7:a.b_C" == request_ids({"x-request-id": "order-7:a.b_C"})["request_id"]


@pytest.mark.parametrize("sent", ["", "x" * 129, "a b", "a\n", "ü", "'; DROP TABLE"])
def test_a_strange_request_id_is_replaced(sent: str) -> None:
    first = request_ids({"x-request-id": sent})["request_id"]
    second = request_ids({"x-request-id": sent})["request_id"]

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
    assert expected == request_ids({"traceparent": sent}).get("trace_id")
