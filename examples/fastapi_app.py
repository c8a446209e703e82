"""
A FastAPI application under uvicorn, which configures logging by ``--log-config``.

    pip install fastapi uvicorn pyyaml
    CLICKHOUSE_URL=chdb://$PWD/audit-data/clickhouse \\
        uvicorn --log-config examples/logging.yaml examples.fastapi_app:app

    curl -H 'Authorization: Bearer ada' --json '{"name": "Assam"}' http://127.0.0.1:8000/api/orders
    curl http://127.0.0.1:8000/health
    curl -H 'Authorization: Bearer cleo' http://127.0.0.1:8000/admin/audit-status
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from pydantic import BaseModel
from starlette.routing import Route

from audit_handler import AuditHandler, audit
from audit_handler.starlette import AuditMiddleware
from audit_handler.status_pages import HealthApp, StatusApp

log = logging.getLogger("shop.orders")


# 1. The user. A dependency checks the token and stores the user in the request's state. The
#    middleware reads it there when the response is complete.

USERS = {  # token: user; a real service asks its identity provider
    "ada": {"id": "u-1", "name": "Ada Osei", "role": "sales"},
    "cleo": {"id": "u-3", "name": "Cleo Wang", "role": "admin"},
}


def user_of(request: Request, authorization: Annotated[str, Header()] = "") -> dict[str, str]:
    user = USERS.get(authorization.removeprefix("Bearer "))
    if user is None:
        raise HTTPException(401, "a token is required")
    request.state.user = user
    return user


def audited_user(scope: MutableMapping[str, Any]) -> Any:
    return scope.get("state", {}).get("user")


def is_admin(scope: MutableMapping[str, Any]) -> bool:
    token = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
    return USERS.get(token, {}).get("role") == "admin"


# 2. The service. The middleware audits each request. Only update_order adds fields of its own.


class Order(BaseModel):
    name: str
    quantity: int = 1


orders: dict[int, Order] = {}
numbers = itertools.count(1)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield
    # After SIGTERM, uvicorn ends the process by that signal, and Python runs no exit hooks. Without
    # this call the last rows wait for the next start.
    for handler in logging.getLogger().handlers:
        if isinstance(handler, AuditHandler):
            handler.close()


app = FastAPI(lifespan=lifespan)
app.add_middleware(AuditMiddleware, get_user=audited_user)
for path in ("/health", "/health/live", "/health/ready"):
    app.routes.append(Route(path, HealthApp()))
app.routes.append(Route("/admin/audit-status", StatusApp(authorize=is_admin)))


@app.post("/api/orders", status_code=201)
def create_order(order: Order, user: Annotated[dict[str, str], Depends(user_of)]) -> dict[str, Any]:
    number = next(numbers)
    orders[number] = order
    log.info("order %d of %s", number, user["name"])  # the line shows the request id
    return {"id": number, **order.model_dump()}


@app.put("/api/orders/{number}", dependencies=[Depends(user_of)])
def update_order(number: int, order: Order) -> Order:
    if number not in orders:
        raise HTTPException(404, "there is no such order")
    audit(old_value=orders[number], new_value=order)
    orders[number] = order
    return order
