"""Health and status as Flask blueprints. Import them from `audit_handler.flask`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

from flask import Blueprint, Request, Response, request

from audit_handler._http.pages import (
    HEADERS,
    MAX_WAITING_SECONDS,
    PUBLIC,
    HealthPages,
    Page,
    StatusPages,
    check_authorize,
)
from audit_handler.handler import AuditHandler

__all__ = ["PUBLIC", "health_blueprint", "status_blueprint"]


def health_blueprint(
    handlers: AuditHandler | Iterable[AuditHandler] | None = None,
    *,
    max_waiting_seconds: float | None = MAX_WAITING_SECONDS,
    url_prefix: str = "/health",
    name: str = "audit_health",
) -> Blueprint:
    """
    Return a blueprint that answers whether the process is alive and ready to audit: 200, or 503
    with the reasons.

    Its paths are ``/health/live``, ``/health/ready``, and ``/health`` for both, with or without a
    slash at the end. See `audit_handler.status_pages.HealthApp` for the arguments and errors.
    """
    pages = HealthPages(handlers, max_waiting_seconds)
    blueprint = Blueprint(name, __name__, url_prefix=url_prefix)

    @blueprint.get("", strict_slashes=False)
    @blueprint.get("/<any(live, ready):which>", strict_slashes=False)
    def health(which: str = "") -> Response:
        return _response(pages.page(which))

    return blueprint


def status_blueprint(
    *,
    authorize: Callable[[Request], object],
    handlers: AuditHandler | Iterable[AuditHandler] | None = None,
    by_user: bool = False,
    url_prefix: str = "/admin/audit-status",
    name: str = "audit_status",
) -> Blueprint:
    """
    Return a blueprint that answers with the status of the handlers as JSON.

    See `audit_handler.status_pages.StatusApp` for the fields and arguments. *authorize* is called
    with Flask's request and must not be ``async``. An exception from it, for example of
    ``flask.abort``, goes to Flask.

    Raises:
        ConfigurationError: *authorize* cannot be called.
    """
    allowed = check_authorize(authorize)
    pages = StatusPages(handlers, by_user=by_user)
    blueprint = Blueprint(name, __name__, url_prefix=url_prefix)

    @blueprint.get("", strict_slashes=False)
    def status() -> Response:
        answer = allowed(request)
        if inspect.isawaitable(answer):
            # A coroutine that is not awaited counts as true.
            raise TypeError("authorize must not be async here, because Flask's views are not")
        return _response(pages.page() if answer else Page.of(403, {"detail": "not allowed"}))

    return blueprint


def _response(page: Page) -> Response:
    return Response(page.body, page.status, HEADERS)
