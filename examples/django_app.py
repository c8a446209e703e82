"""
A Django project in one file, with the audit handler in its LOGGING.

    pip install django
    CLICKHOUSE_URL=chdb://$PWD/audit-data/clickhouse python examples/django_app.py runserver

    curl -X POST -H 'X-User: ada' http://127.0.0.1:8000/orders/17/approve
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from uuid import uuid4

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

from audit_handler import bound

# 1. Logging. Django applies it with dictConfig, so the handler is named like any other. It can
#    share the root logger with the console: it stores only the records that carry an action.

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"context": {"()": "audit_handler.AuditContextFilter"}},
    "formatters": {"line": {"format": "%(levelname)s [%(request_id)s %(agent_id)s] %(message)s"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["context"],
        },
        "audit": {"class": "audit_handler.AuditHandler", "service_name": "shop"},
    },
    "root": {"level": "INFO", "handlers": ["console", "audit"]},
}

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1", "localhost", "testserver"],
        DEBUG=False,
        LOGGING=LOGGING,
        MIDDLEWARE=[f"{__name__}.bind_request"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="of-an-example",  # noqa: S106  # no sessions, no secrets
    )

log = logging.getLogger("shop.orders")


# 2. A middleware that binds the user and the request to everything that a view logs.


def bind_request(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        with bound(
            agent_id=request.headers.get("X-User"),  # request.user.pk, behind authentication
            ip_address=request.META["REMOTE_ADDR"],
            endpoint=request.path,
            http_method=request.method,
            user_agent=request.headers.get("User-Agent"),
            request_id=str(uuid4()),
        ):
            return get_response(request)

    return middleware


# 3. A view that writes an audit event.

ORDERS = {17: "new"}


@require_POST
def approve(_request: HttpRequest, number: int) -> HttpResponse:
    if number not in ORDERS:
        raise Http404
    before, ORDERS[number] = ORDERS[number], "approved"
    log.info(
        "order approved",
        extra={
            "action": "APPROVE",
            "outcome": "success",
            "resource_type": "order",
            "resource_id": number,
            "old_value": {"status": before},
            "new_value": {"status": "approved"},
        },
    )
    return JsonResponse({"id": number, "status": "approved"})


urlpatterns = [path("orders/<int:number>/approve", approve)]
application: WSGIHandler = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
