"""An audited Starlette application of orders."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from audit_handler.starlette import AuditMiddleware


async def created(request: Request) -> Response:
    order = await request.json()
    return JSONResponse({"id": 17, **order}, status_code=201)


async def read(request: Request) -> Response:
    return JSONResponse({"id": request.path_params["order_id"]})


async def emptied(_request: Request) -> Response:
    return Response(status_code=204)


async def failing(_request: Request) -> Response:
    raise LookupError("no such drawer")


def application(
    logger: logging.Logger, *routes: Any, inside: tuple[Middleware, ...] = (), **options: Any
) -> Starlette:
    """
    Return an application of *routes*, or of a few that most tests can use.
    """
    return Starlette(
        routes=routes
        or [
            Route("/api/orders", created, methods=["POST"]),
            Route("/api/orders/{order_id:int}", read, methods=["GET"]),
            Route("/api/orders/{order_id:int}", emptied, methods=["PUT", "PATCH", "DELETE"]),
            Route("/api/failing", failing, methods=["GET", "POST"]),
            Route("/login", emptied, methods=["POST"]),
        ],
        middleware=[Middleware(AuditMiddleware, logger=logger, **options), *inside],
    )


def endpoint(
    function: Callable[[Request], Awaitable[Response]], path: str = "/api/orders"
) -> Route:
    return Route(path, function, methods=["POST"])
