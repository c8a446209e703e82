"""Requests and their responses as an Exchange, without a framework."""

from __future__ import annotations

import json
from typing import Any

from audit_handler._http import Exchange, HttpRules
from audit_handler._http.redactors import Redactors
from audit_handler._record.redaction import Redactor

JSON = {"content-type": "application/json"}


FORM = {"content-type": "application/x-www-form-urlencoded"}


DEFAULT = Redactors((Redactor(),))


RULES = HttpRules(
    methods=["POST", "PUT", "PATCH", "DELETE", "GET", "PURGE"], path_prefixes=["/api", "/"]
)


def begun(
    method: str,
    path: str,
    headers: dict[str, str],
    *,
    rules: HttpRules = RULES,
    redactors: Redactors = DEFAULT,
    **facts: Any,
) -> Exchange:
    return Exchange(
        rules=rules,
        redactors=redactors,
        candidates=rules.candidates(method, path),
        method=method,
        path=path,
        request_headers=headers,
        **facts,
    )


def fields_of(exchange: Exchange, user: str = "") -> dict[str, Any]:
    rule = exchange.decide(user)
    assert rule is not None
    return exchange.fields(rule)


def answered(
    method: str = "POST",
    path: str = "/api/orders",
    *,
    request: Any = None,
    response: Any = None,
    status: int = 201,
    **facts: Any,
) -> Exchange:
    """
    Return an exchange with JSON bodies and a complete response.
    """
    exchange = begun(method, path, JSON, is_complete=True, **facts)
    if request is not None:
        exchange.request_body.add(json.dumps(request).encode())
    exchange.start_response(status, JSON)
    if response is not None:
        exchange.response_body.add(json.dumps(response).encode())
    return exchange


def resource(exchange: Exchange) -> tuple[str, str]:
    fields = fields_of(exchange)
    return fields.get("resource_type", ""), fields.get("resource_id", "")
