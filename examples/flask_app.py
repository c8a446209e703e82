"""
The orders of a small shop, as a Flask application whose every change is audited in ClickHouse.

    python examples/flask_app.py

keeps the audits in a chDB database in ./audit-data: ClickHouse inside this process, no server
needed. Several processes need a server, named by CLICKHOUSE_URL:

    CLICKHOUSE_URL=http://user:password@host:8123/audit_db \\
        gunicorn --preload --workers 2 --threads 4 examples.flask_app:app

    curl -H 'X-User: ada' --json '{"name": "Assam", "quantity": 2}' http://127.0.0.1:8000/api/orders

With --preload the handler is made in gunicorn's first process and goes with each fork: every worker
writes as a writer of its own, starts its own listener with its first audit, and sends the rest when
it is told to end. No hook is needed.
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

# 1. Logging: one handler, and a logger for audits. Nothing else in the application changes.

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

# 2. The service. A real one would keep its orders where all workers see them.

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
    audit(**changes(before, order))  # what changed, besides all that the request tells
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
    """A streamed answer; it is audited when its last line went out, or its reader went away."""
    audit(action="EXPORT", resource_type="orders")

    def lines() -> Iterator[str]:
        for order in list(stock.values()):
            yield f"{order['id']},{order['name']}\n"

    return Response(lines(), mimetype="text/csv")


@orders.post("/<int:order_id>/ship")
def ship_order(order_id: int) -> Any:
    found(order_id)
    raise ConnectionError("the carrier does not answer")


# 3. Who is acting. A real service would check a token here, or use Flask-Login, whose current_user
#    is found by itself.

USERS = {
    "ada": {"id": "u-1", "name": "Ada Osei", "role": "sales", "email": "ada@shop.example"},
    "ben": {"id": "u-2", "name": "Ben Ortiz", "role": "sales", "email": "ben@shop.example"},
    "cleo": {"id": "u-3", "name": "Cleo Wang", "role": "manager", "email": "cleo@shop.example"},
}


def identify() -> None:
    g.user = USERS.get(request.headers.get("X-User", ""))


def refused(error: HTTPException) -> Any:
    return {"error": error.description}, error.code


def create_app() -> Flask:
    app = Flask(__name__)
    app.before_request(identify)
    app.register_blueprint(orders)
    app.register_error_handler(HTTPException, refused)
    AuditFlask(app, session_cookie="session")
    return app


app = create_app()

if __name__ == "__main__":
    app.run(port=8000)
