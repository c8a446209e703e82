"""`Exchange`: one request and its response, and the fields of their audit event."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from audit_handler._http.bodies import Body
from audit_handler._http.forms import pairs
from audit_handler._http.reasons import reason_in
from audit_handler._http.redactors import Redactors
from audit_handler._http.resource import id_in, resource_of, shown_path, value_of
from audit_handler._http.rules import HttpRules
from audit_handler._record.encoder import REDACT_EXCEPT
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
    One request and its response, filled in as they pass. Belongs to one request.
    """

    rules: HttpRules
    redactors: Redactors
    candidates: tuple[Clause, ...]
    """The policy's rules that can match; `decide` chooses one at the end."""
    method: str
    path: str
    request_headers: Mapping[str, str]
    """By lower-case name, like all headers here."""
    query: str = ""
    path_params: Mapping[str, Any] | None = field(default_factory=dict)
    """The path parameters that the router has read, or None if that failed."""
    route: str = ""
    """The template that the router matched: ``/api/orders/{order_id}``."""
    status: int = 0
    """Status of the response; 0 until it has started."""
    response_headers: Mapping[str, str] = field(default_factory=dict)
    is_complete: bool = False
    """Whether the server has the whole response."""
    is_disconnected: bool = False
    """Whether the client disconnected before that."""
    error: BaseException | None = None
    """The exception that the application raised before that."""
    bound: Mapping[str, Any] = field(default_factory=dict)
    """The fields that were bound when the request arrived."""
    said: Said = field(default_factory=Said)
    """The fields that the application gives to `audit_handler.audit`."""
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
        """Whether a rule that can match rejects requests that cannot be audited."""
        return any(rule.durable for rule in self.candidates)

    @property
    def is_certain(self) -> bool:
        """
        Whether it is audited for every status and user, unless the application skips the event.
        """
        return all(rule.writes for rule in self.candidates) and self.candidates[-1].is_certain

    def early_fields(self) -> dict[str, Any]:
        """Return the fields that are known before the application runs."""
        return {
            "action": _ACTIONS.get(self.method, self.method),
            "endpoint": shown_path(self.path, self.path_params, self.redactors),
            "http_method": self.method,
        }

    def start_response(self, status: int, headers: Mapping[str, str]) -> None:
        """Note that the response has started."""
        self.status = status
        self.response_headers = headers
        if self.method == "HEAD":
            # The server does not send the application's body.
            return
        # Keep no body that no rule can store any more, for example that of a large download.
        is_kept = any(
            rule.keeps_response and (not rule.statuses or status in rule.statuses)
            for rule in self.candidates
        )
        self.response_body = Body(headers, self._limit(is_kept))

    @property
    def is_error(self) -> bool:
        """
        Whether the application failed. A client that disconnected, or a cancelled task, is not a
        failure of the application.
        """
        return isinstance(self.error, Exception) and not self.is_disconnected

    @property
    def final_status(self) -> int:
        """
        The status of the response. If no response was started: 499 if the client disconnected or
        the task was cancelled, else 500.
        """
        is_aborted = self.is_disconnected or (self.error is not None and not self.is_error)
        return self.status or (499 if is_aborted else 500)

    def decide(self, user: str = "") -> Clause | None:
        """
        Return the policy's rule for this exchange, or None if it is not to be audited.

        Args:
            user: The *agent_id* of the audit event.
        """
        status = self.final_status
        for rule in self.candidates:
            if rule.matches(self.route, status, user):
                return rule if rule.writes else None
        return None

    def fields(self, rule: Clause) -> dict[str, Any]:
        """
        Return the known fields of this exchange by column, with the bodies that *rule* keeps and
        without the values that it masks.
        """
        elapsed = self.clock() - self._started
        # Masked first, so that no field derived from them shows a masked value.
        request = rule.masked(self.request_body.value()) if rule.keeps_request else None
        response = rule.masked(self.response_body.value()) if rule.keeps_response else None
        # Of JSON that was cut, ids and names are found in the values before the cut.
        asked, answer = (
            rule.masked(body.whole_values()) if body.is_cut and value is not None else value
            for body, value in ((self.request_body, request), (self.response_body, response))
        )
        query = rule.masked(pairs(self.query))
        redactors = self.redactors.excepting(rule.redact_except)
        path, resource_type, own_id, parent_id = resource_of(
            self.path, rule.prefix_of(self.path), self.path_params, redactors, rule.is_masked
        )
        # The rule's type wins; it is needed here to find the id.
        resource_type = rule.fields.get("resource_type", resource_type)
        status = self.final_status
        # The body of a failure describes the failure, so its id and title are not the resource's.
        made = answer if status < 400 else None
        fields = {
            "action": "ERROR" if self.is_error else _ACTIONS.get(self.method, self.method),
            "outcome": self._outcome(status),
            "resource_type": resource_type,
            "resource_id": own_id
            or id_in((asked, made, query), resource_type, redactors)
            or parent_id,
            "resource_name": value_of((asked, made), ("name", "title"), redactors),
            "endpoint": path,
            "http_method": self.method,
            "status_code": status,
            "response_time_ms": round(elapsed * 1000),
            "request_body": request,
            "response_body": response,
            "request_headers": _chosen(self.request_headers, self.rules.request_headers),
            "response_headers": _chosen(self.response_headers, self.rules.response_headers),
            "metadata": self._metadata(rule, query),
            REDACT_EXCEPT: rule.redact_except or None,
        }
        if status >= 400 and self.error is None:
            fields["error_message"] = reason_in(answer, status, redactors)
        return {name: value for name, value in fields.items() if value not in (None, "", {}, [])}

    def _outcome(self, status: int) -> str:
        if not self.is_complete or status >= 400:
            return "failure"
        # With 307 and 308 the client must repeat the request elsewhere: nothing was done yet.
        return "unknown" if status in (307, 308) else "success"

    def _metadata(self, rule: Clause, query: Any) -> dict[str, Any]:
        bodies = {"request_body": self.request_body, "response_body": self.response_body}
        kept = {"request_body": rule.keeps_request, "response_body": rule.keeps_response}
        # With a tracer, the column request_id has the trace id. The id that the client sent or got
        # is here.
        bound_id = self.bound.get("request_id", "")
        span = active_span_ids()
        metadata = {
            "query_params": query,
            "path_params": rule.masked(dict(self.path_params or {})),
            "route": self.route,
            "x_request_id": bound_id if span and span[0] != bound_id else "",
            "client_disconnected": self.is_disconnected,
            "cancelled": self.error is not None and not isinstance(self.error, Exception),
            "_truncated_body": {
                name: body.size for name, body in bodies.items() if body.is_cut and kept[name]
            },
        }
        return {name: value for name, value in metadata.items() if value}


def _chosen(headers: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}
