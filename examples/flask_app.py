"""
The orders of a small shop: a Flask application that audits every change in ClickHouse.

    python examples/flask_app.py

By default the events go to ./audit-data, a database of embedded chDB: ClickHouse inside this
process, without a server. Several processes need a server, which CLICKHOUSE_URL names:

    CLICKHOUSE_URL=http://user:password@host:8123/audit_db \\
        gunicorn --preload --workers 2 --threads 4 examples.flask_app:app

    curl -H 'X-User: ada' --json '{"name": "Assam", "quantity": 2}' http://127.0.0.1:8000/api/orders

With --preload the handler is created in gunicorn's first process and survives each fork: every
worker has a writer of its own, starts its listener with its first event, and sends the remaining
rows when gunicorn stops it. No hook is needed.
"""

from __future__ import annotations

import itertools
import logging.config
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, abort, g, request
from werkzeug.exceptions import HTTPException

from audit_handler import audit, changes
from audit_handler.flask import AuditFlask

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

# 2. The service. A real one stores its orders where all workers see them.

orders = Blueprint("orders", __name__, url_prefix="/api/orders")
stock: dict[int, dict[str, Any]] = {}
numbers = itertools.count(1)


def found(order_id: int) -> dict[str, Any]:
    if order_id not in stock:
        abort(404, "there is no such order")
    return stock[order_id]


def sent() -> dict[str, Any]:
    order = request.get_json()
    if not isinstance(order, dict) or not order.get("name"):
        abort(422, "an order needs a name")
    return order


@orders.get("")
def list_orders() -> Any:
    return list(stock.values())


@orders.post("")
def create_order() -> Any:
    order = {**sent(), "id": next(numbers), "by": g.user and g.user["id"]}
    stock[order["id"]] = order
    return order, 201


@orders.put("/<int:order_id>")
def update_order(order_id: int) -> Any:
    before = found(order_id)
    stock[order_id] = order = {**before, **sent(), "id": order_id}
    audit(**changes(before, order))  # the change; the request gives the other fields
    return order


@orders.delete("/<int:order_id>")
def delete_order(order_id: int) -> Any:
    audit(old_value=found(order_id))
    del stock[order_id]
    return "", 204


@orders.post("/<int:order_id>/approve")
def approve_order(order_id: int) -> Any:
    """An action that no HTTP method names."""
    audit(action="APPROVE", resource_type="orders", resource_id=order_id)
    found(order_id)["status"] = "approved"
    return found(order_id)


@orders.post("/export")
def export_orders() -> Any:
    """A streamed response, audited when it ends or when the client disconnects."""
    audit(action="EXPORT", resource_type="orders")

    def lines() -> Iterator[str]:
        for order in list(stock.values()):
            yield f"{order['id']},{order['name']}\n"

    return Response(lines(), mimetype="text/csv")


@orders.post("/<int:order_id>/ship")
def ship_order(order_id: int) -> Any:
    found(order_id)
    raise ConnectionError("the carrier does not answer")


# 3. The user. A real service checks a token here, or uses Flask-Login, whose current_user
#    AuditFlask finds by itself.

USERS = {
    "ada": {"id": "u-1", "name": "Ada Osei", "role": "sales", "email": "ada@shop.example"},
    "ben": {"id": "u-2", "name": "Ben Ortiz", "role": "sales", "email": "ben@shop.example"},
    "cleo": {"id": "u-3", "name": "Cleo Wang", "role": "manager", "email": "cleo@shop.example"},
}


def identify() -> None:
    g.user = USERS.get(request.headers.get("X-User", ""))


def error_response(error: HTTPException) -> Any:
    return {"error": error.description}, error.code


def create_app() -> Flask:
    app = Flask(__name__)
    app.before_request(identify)
    app.register_blueprint(orders)
    app.register_error_handler(HTTPException, error_response)
    AuditFlask(app, session_cookie="session")
    return app


app = create_app()

if __name__ == "__main__":
    app.run(port=8000)
