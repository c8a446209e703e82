"""The ASGI middleware around a FastAPI application: the features that Starlette lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, Field

from audit_handler import Rule, audit, bind, changes
from audit_handler.starlette import AuditMiddleware
from tests.support.asgi import Answer, Capture, as_json, asked


class Order(BaseModel):
    name: str
    password: str = Field("", max_length=20)


STORED = Order(name="Tea", password="old-s3cr3t")
finished: list[str] = []


def session() -> Iterator[str]:
    """A dependency that ends when the response is on its way, as a database session does."""
    yield "session"
    finished.append("session")


def user(x_user: Annotated[str, Header()] = "") -> str:
    """Authenticate, in a thread of the pool: what is bound here is bound there only."""
    if not x_user:
        raise HTTPException(401, "who are you?")
    bind(agent_id="unheard")
    audit(agent_id=x_user, agent_role="clerk")
    return x_user


def application(audits: Capture, **options: Any) -> FastAPI:
    app = FastAPI()
    app.add_middleware(AuditMiddleware, logger=audits.logger, **options)

    @app.put("/api/orders/{order_id}")
    def update(
        order_id: int,
        order: Order,
        who: Annotated[str, Depends(user)],
        opened: Annotated[str, Depends(session)],
        tasks: BackgroundTasks,
    ) -> Order:
        audit(**changes(STORED, order))
        tasks.add_task(finished.append, f"{who} {opened} {order_id}")
        return order

    @app.get("/api/orders/{order_id}")
    async def read(order_id: int) -> int:
        return order_id

    return app


@pytest.fixture(autouse=True)
def _nothing_is_finished() -> None:
    finished.clear()


def test_a_change_is_audited_with_what_dependencies_and_endpoint_say() -> None:
    audits = Capture()
    sent = as_json({"name": "Milk", "password": "new-s3cr3t"})
    sent["headers"]["x-user"] = "u-7"

    answer = asked(application(audits), "PUT", "/api/orders/17", **sent)

    row = audits.row
    assert 200 == answer.status
    assert ("u-7", "clerk") == (row["agent_id"], row["agent_role"])
    assert ("orders", "17") == (row["resource_type"], row["resource_id"])
    assert "/api/orders/{order_id}" == row["metadata"]["route"]
    assert ("Tea", "Milk") == (row["old_value"]["name"], row["new_value"]["name"])
    assert "s3cr3t" not in audits.lines[0]
    assert {"u-7 session 17", "session"} == set(finished)


@pytest.mark.parametrize(
    ("headers", "body", "status", "message"),
    [
        ({}, {"name": "Tea"}, 401, "who are you?"),
        ({"x-user": "u-7"}, {}, 422, "body.name: Field required"),
        (
            {"x-user": "u-7"},
            [1],
            422,
            "body: Input should be a valid dictionary or object to extract fields from",
        ),
    ],
)
def test_what_fastapi_refuses_by_itself_is_audited_as_a_failure(
    headers: dict[str, str], body: Any, status: int, message: str | None
) -> None:
    audits = Capture()
    sent = as_json(body)
    sent["headers"].update(headers)

    asked(application(audits), "PUT", "/api/orders/17", **sent)

    row = audits.row
    assert (status, "failure") == (row["status_code"], row["outcome"])
    assert message == row.get("error_message")


def test_what_fastapi_says_of_a_bad_password_does_not_tell_it() -> None:
    audits = Capture()
    sent = as_json({"name": "Tea", "password": "s3cr3t" * 4})
    sent["headers"]["x-user"] = "u-7"

    answer = asked(application(audits), "PUT", "/api/orders/17", **sent)

    assert b"s3cr3t" in answer.body
    message = "String should have at most 20 characters (body.password)"
    assert message == audits.row["error_message"]
    assert ["body", "password"] == audits.row["response_body"]["detail"][0]["loc"]
    assert "s3cr3t" not in audits.lines[0]


def test_all_that_fastapi_finds_wrong_is_named_without_what_was_sent() -> None:
    audits = Capture()
    sent = as_json({"name": ["s3cr3t"]})
    sent["headers"]["x-user"] = "u-7"

    answer = asked(application(audits), "PUT", "/api/orders/s3cr3t", **sent)

    assert 2 == answer.body.count(b"s3cr3t")
    assert (
        "path.order_id: Input should be a valid integer, unable to parse string as an integer; "
        "body.name: Input should be a valid string"
    ) == audits.row["error_message"]


def test_a_rule_names_a_route_as_fastapi_has_it() -> None:
    audits = Capture()
    app = application(audits, policy=[Rule(level="metadata", routes="/api/orders/{order_id}")])

    asked(app, "GET", "/api/orders/17")
    asked(app, "GET", "/openapi.json")

    assert ["/api/orders/17"] == [row["endpoint"] for row in audits.rows]


def test_an_application_that_is_mounted_tells_the_whole_route() -> None:
    audits = Capture()
    outer = FastAPI()
    outer.mount("/shop", application(Capture()))
    app = AuditMiddleware(outer, logger=audits.logger, policy=[Rule(level="metadata")])

    asked(app, "GET", "/shop/api/orders/17", answer=Answer())

    assert "/shop/api/orders/{order_id}" == audits.row["metadata"]["route"]
    assert ("orders", "17") == (audits.row["resource_type"], audits.row["resource_id"])
