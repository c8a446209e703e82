"""
A small REST service for orders that audits every change in ClickHouse.

    uvicorn examples.starlette_app:app
    python examples/starlette_app.py

    curl -H 'X-User: ada' -d '{"name": "Assam", "quantity": 2}' http://127.0.0.1:8000/api/orders

The events go to the ClickHouse that CLICKHOUSE_URL names, by default to ./audit-data, a database of
embedded chDB: ClickHouse inside this process, without a server.
"""

from __future__ import annotations

import itertools
import logging
import logging.config
import os
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from audit_handler.starlette import AuditMiddleware

# 1. Logging: one handler and a logger for audit events. Nothing else in the application changes.

DATA = Path("audit-data").absolute()

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "audit": {
                "class": "audit_handler.AuditHandler",
                "dsn": os.environ.get("CLICKHOUSE_URL", f"chdb://{DATA}/clickhouse"),
                "spool_dir": os.environ.get("AUDIT_SPOOL_DIR", f"{DATA}/spool"),
                "service_name": "orders",
                "redact_keys": ["iban"],
            },
        },
        "loggers": {"audit": {"level": "INFO", "handlers": ["audit"]}},
    }
)
audit = logging.getLogger("audit")

# 2. The user. A real service checks a token here, or leaves that to its authentication middleware:
#    without get_user, AuditMiddleware reads scope["user"].

USERS = {
    "ada": {"id": "u-1", "name": "Ada Osei", "role": "sales", "email": "ada@shop.example"},
    "ben": {"id": "u-2", "name": "Ben Ortiz", "role": "sales", "email": "ben@shop.example"},
    "cleo": {"id": "u-3", "name": "Cleo Wang", "role": "manager", "email": "cleo@shop.example"},
}


def get_user(scope: MutableMapping[str, Any]) -> dict[str, str] | None:
    return USERS.get(HTTPConnection(scope).headers.get("x-user", ""))


# 3. The service. The middleware audits each request. Only approve_order writes its own event.

orders: dict[int, dict[str, Any]] = {}
numbers = itertools.count(1)


def found(request: Request) -> dict[str, Any]:
    order = orders.get(request.path_params["order_id"])
    if order is None:
        raise HTTPException(404, "there is no such order")
    return order


async def sent(request: Request) -> dict[str, Any]:
    try:
        order = await request.json()
    except JSONDecodeError:
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(order, dict) or not order.get("name"):
        raise HTTPException(422, "an order needs a name")
    return order


async def list_orders(_request: Request) -> Response:
    return JSONResponse(list(orders.values()))


async def read_order(request: Request) -> Response:
    return JSONResponse(found(request))


async def create_order(request: Request) -> Response:
    order = {**await sent(request), "id": next(numbers), "status": "new"}
    orders[order["id"]] = order
    return JSONResponse(order, status_code=201)


async def update_order(request: Request) -> Response:
    order = found(request)
    order.update(await sent(request), id=order["id"])
    return JSONResponse(order)


async def delete_order(request: Request) -> Response:
    del orders[found(request)["id"]]
    return Response(status_code=204)


async def approve_order(request: Request) -> Response:
    """
    Approve an order, an action that no HTTP method names, and log the audit event.

    The middleware has bound the user, the address and the request.
    """
    number = request.path_params["order_id"]
    order = orders.get(number, {})
    before = {"status": order.get("status")}
    if order:
        order["status"] = "approved"
    audit.info(
        "order approved" if order else "there is no such order",
        extra={
            "action": "APPROVE",
            "outcome": "success" if order else "failure",
            "resource_type": "orders",
            "resource_id": number,
            "resource_name": order.get("name"),
            "old_value": before,
            "new_value": {"status": order.get("status")},
        },
    )
    return JSONResponse(found(request))


async def ship_order(request: Request) -> Response:
    found(request)
    raise ConnectionError("the carrier does not answer")


async def error_response(_request: Request, exc: Any) -> Response:
    return JSONResponse({"error": exc.detail}, exc.status_code)


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    yield
    # The handler closes itself when a process ends. But after SIGTERM uvicorn ends the process by
    # that signal, and Python runs no exit hooks. Without this call the last rows wait for the next
    # start.
    for handler in audit.handlers:
        handler.close()


app = Starlette(
    routes=[
        Route("/api/orders", list_orders, methods=["GET"]),
        Route("/api/orders", create_order, methods=["POST"]),
        Route("/api/orders/{order_id:int}", read_order, methods=["GET"]),
        Route("/api/orders/{order_id:int}", update_order, methods=["PUT", "PATCH"]),
        Route("/api/orders/{order_id:int}", delete_order, methods=["DELETE"]),
        Route("/api/orders/{order_id:int}/approve", approve_order, methods=["POST"]),
        Route("/api/orders/{order_id:int}/ship", ship_order, methods=["POST"]),
    ],
    middleware=[
        Middleware(
            AuditMiddleware,
            get_user=get_user,
            session_cookie="session",
            exclude_paths=["/api/orders/*/approve"],  # approve_order logs its own event
        )
    ],
    exception_handlers={HTTPException: error_response},
    lifespan=lifespan,
)

if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app)
