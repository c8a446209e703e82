"""Flask's templates of routes become Starlette's."""

from __future__ import annotations

import pytest

from audit_handler.policy import route_template


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("/api/orders", "/api/orders"),
        ("/api/orders/<order_id>", "/api/orders/{order_id}"),
        ("/api/orders/<string:order_id>", "/api/orders/{order_id}"),
        ("/api/orders/<int:order_id>", "/api/orders/{order_id:int}"),
        ("/api/<string(length=5):a>/<any(x, y):b>.json", "/api/{a}/{b:any}.json"),
        ("/api/orders/{order_id:int}", "/api/orders/{order_id:int}"),
        ("/api/<>/<1a>", "/api/<>/<1a>"),
    ],
)
def test_a_route_is_written_as_starlette_writes_it(route: str, expected: str) -> None:
    assert expected == route_template(route)
