"""An audited Flask application of orders, and a server that calls it step by step."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flask import Flask, request
from werkzeug.test import EnvironBuilder

from audit_handler.flask import AuditFlask


def created() -> Any:
    return {"id": 17, **request.get_json()}, 201


def read(order_id: int) -> Any:
    return {"id": order_id}


def emptied(**_: Any) -> Any:
    return "", 204


def failing() -> Any:
    raise LookupError("no such drawer")


def application(
    logger: logging.Logger, views: dict[str, Callable[..., Any]] | None = None, **options: Any
) -> Flask:
    """
    Return an audited application with *views*, which accept POST, or with a few that most tests
    use.
    """
    app = Flask(__name__, static_folder=None)
    app.secret_key = "made-up"
    for path, view in (views or {}).items():
        app.add_url_rule(path, path.replace(".", "-"), view, methods=["POST"])
    if views is None:
        change = ["PUT", "PATCH", "DELETE"]
        app.add_url_rule("/api/orders", "created", created, methods=["POST"])
        app.add_url_rule("/api/orders/<int:order_id>", "read", read)
        app.add_url_rule("/api/orders/<int:order_id>", "emptied", emptied, methods=change)
        app.add_url_rule("/api/failing", "failing", failing, methods=["GET", "POST"])
        app.add_url_rule("/login", "login", emptied, methods=["POST"])
    AuditFlask(app, logger=logger, **options)
    return app


def asked(app: Flask, method: str = "POST", path: str = "/api/orders", **kwargs: Any) -> Any:
    kwargs.setdefault("environ_overrides", {"REMOTE_ADDR": "203.0.113.9"})
    return app.test_client().open(path, method=method, **kwargs)


def start_nothing(*_: Any) -> Any:
    """Ignore the start of a response."""


class Server:
    """
    Calls an application as a server does, one step at a time. *upload* is the request's body, and
    the length that the client has announced.
    """

    def __init__(
        self,
        app: Flask,
        path: str = "/api/orders",
        *,
        upload: tuple[Any, int] | None = None,
        **kwargs: Any,
    ) -> None:
        self.status = ""
        self.headers: dict[str, str] = {}
        environ = EnvironBuilder(path, method="POST", **kwargs).get_environ()
        if upload is not None:
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = upload[0], str(upload[1])
        self.body: Any = app(environ, self._start)
        self._chunks = iter(self.body)

    def _start(self, status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        self.status, self.headers = status, dict(headers)

    def next(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        self.body.close()
