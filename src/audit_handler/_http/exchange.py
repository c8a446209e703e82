"""One request and its response, and the audit that they come to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from audit_handler._http.bodies import Body, pairs
from audit_handler._http.redactors import Redactors
from audit_handler._http.resource import id_in, resource_of, value_of
from audit_handler._http.rules import HttpRules
from audit_handler._record.span_ids import active_span_ids
from audit_handler.policy import WEBSOCKET, Clause
from audit_handler.request import Said

__all__ = ["Exchange"]

_ACTIONS: Mapping[str, str] = {
    "GET": "READ",
    "HEAD": "READ",
    "POST": "CREATE",
    "PUT": "UPDATE",
    "PATCH": "UPDATE",
    "DELETE": "DELETE",
    WEBSOCKET: "CONNECT",
}


@dataclass(slots=True, kw_only=True)
class Exchange:
    """
    One request and its response, filled in as they pass by. Belongs to one request alone.
    """

    rules: HttpRules
    redactors: Redactors
    candidates: tuple[Clause, ...]
    """The policy's rules of which one decides in the end."""
    method: str
    path: str
    request_headers: Mapping[str, str]
    """By lower-case name, as all headers here."""
    query: str = ""
    path_params: Mapping[str, Any] | None = field(default_factory=dict)
    """What the router has read from the path, or None where it could not."""
    route: str = ""
    """The template that the router matched: ``/api/orders/{order_id}``."""
    status: int = 0
    """Status of the response; 0 until it has started."""
    response_headers: Mapping[str, str] = field(default_factory=dict)
    is_complete: bool = False
    """Whether all of the response was handed to the server."""
    is_disconnected: bool = False
    """Whether the client was gone before that."""
    error: BaseException | None = None
    """What escaped from the application before that."""
    bound: Mapping[str, Any] = field(default_factory=dict)
    """What was bound when the request came."""
    said: Said = field(default_factory=Said)
    """What the application says of this audit."""
    clock: Callable[[], float] = time.perf_counter
    request_body: Body = field(init=False)
    response_body: Body = field(init=False)
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.clock()
        self.request_body = Body(
            self.request_headers, self._limit(any(rule.keeps_request for rule in self.candidates))
        )
        self.response_body = Body({}, 0)

    def _limit(self, is_kept: bool) -> int:
        return self.rules.max_body_bytes if is_kept else 0

    @property
    def must_be_durable(self) -> bool:
        """Whether it may come to a rule that lets nothing be done without an audit."""
        return any(rule.durable for rule in self.candidates)

    @property
    def is_certain(self) -> bool:
        """Whether it is audited however it ends, unless the application says otherwise."""
        return all(rule.writes for rule in self.candidates) and self.candidates[-1].is_certain

    def start_response(self, status: int, headers: Mapping[str, str]) -> None:
        """Take note that the response has started."""
        self.status = status
        self.response_headers = headers
        if self.method == "HEAD":
            # Servers keep back what the application makes of a body.
            return
        # What is certain by now is not kept either: nothing of a download that no rule wants.
        is_kept = any(
            rule.keeps_response and (not rule.statuses or status in rule.statuses)
            for rule in self.candidates
        )
        self.response_body = Body(headers, self._limit(is_kept))

    @property
    def is_error(self) -> bool:
        """Whether the application failed; a client that went away or a cancelled task is no error
        of its own."""
        return isinstance(self.error, Exception) and not self.is_disconnected

    @property
    def final_status(self) -> int:
        """The status, or what stands for one where no response was started."""
        is_aborted = self.is_disconnected or (self.error is not None and not self.is_error)
        return self.status or (499 if is_aborted else 500)

    def decide(self, user: str = "") -> Clause | None:
        """
        Return the policy's rule for this exchange, or None when it is not to be audited.

        Args:
            user: The *agent_id* of the audit.
        """
        status = self.final_status
        for rule in self.candidates:
            if rule.matches(self.route, status, user):
                return rule if rule.writes else None
        return None

    def fields(self, rule: Clause) -> dict[str, Any]:
        """
        Return the audit of this exchange as *rule* wants it: values by column, those that are
        known.
        """
        elapsed = self.clock() - self._started
        # Masked first, so that nothing that is worked out from them tells what is masked.
        request = rule.masked(self.request_body.value()) if rule.keeps_request else None
        response = rule.masked(self.response_body.value()) if rule.keeps_response else None
        query = rule.masked(pairs(self.query))
        redactors = self.redactors
        path, resource_type, own_id, parent_id = resource_of(
            self.path, rule.prefix_of(self.path), self.path_params, redactors, rule.is_masked
        )
        resource_type = rule.resource_type or resource_type
        status = self.final_status
        # What a failure answers is about the failure: its id and title are not the resource's.
        answer = response if status < 400 else None
        fields = {
            "action": rule.action
            or ("ERROR" if self.is_error else _ACTIONS.get(self.method, self.method)),
            "outcome": self._outcome(status),
            "resource_type": resource_type,
            "resource_id": own_id
            or id_in((request, answer, query), resource_type, redactors)
            or parent_id,
            "resource_name": value_of((request, answer), ("name", "title"), redactors),
            "endpoint": path,
            "http_method": self.method,
            "status_code": status,
            "response_time_ms": round(elapsed * 1000),
            "request_body": request,
            "response_body": response,
            "request_headers": _chosen(self.request_headers, self.rules.request_headers),
            "response_headers": _chosen(self.response_headers, self.rules.response_headers),
            "metadata": self._metadata(rule, query),
        }
        if status >= 400 and self.error is None:
            reasons = ("detail", "error", "message")
            fields["error_message"] = value_of((response,), reasons, redactors)
        return {name: value for name, value in fields.items() if value not in (None, "", {}, [])}

    def _outcome(self, status: int) -> str:
        if not self.is_complete or status >= 400:
            return "failure"
        # 307 and 308 ask the client to send the same again: nothing was done yet.
        return "unknown" if status in (307, 308) else "success"

    def _metadata(self, rule: Clause, query: Any) -> dict[str, Any]:
        bodies = {"request_body": self.request_body, "response_body": self.response_body}
        kept = {"request_body": rule.keeps_request, "response_body": rule.keeps_response}
        # Whoever has a tracer finds the trace id in the column; the id that the client sent or was
        # told is here.
        told_id = self.bound.get("request_id", "")
        span = active_span_ids()
        metadata = {
            "query_params": query,
            "path_params": rule.masked(dict(self.path_params or {})),
            "route": self.route,
            "x_request_id": told_id if span and span[0] != told_id else "",
            "client_disconnected": self.is_disconnected,
            "cancelled": self.error is not None and not isinstance(self.error, Exception),
            "_truncated_body": {
                name: body.size for name, body in bodies.items() if body.is_cut and kept[name]
            },
        }
        return {name: value for name, value in metadata.items() if value}


def _chosen(headers: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}
