"""
`HttpAuditor` audits the requests of any framework.

A middleware calls it at each step of a request: `fields`, `begin`, `can_audit`, `entry`, `log`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from audit_handler import context
from audit_handler._http.caller import agent_fields, request_fields, session_fields
from audit_handler._http.entry import Entry, make_entry
from audit_handler._http.exchange import Exchange
from audit_handler._http.guard import Guard
from audit_handler._http.handlers import Handlers
from audit_handler._http.redactors import Redactors
from audit_handler._http.resource import shown_path
from audit_handler._http.rules import HttpRules
from audit_handler._http.watch import watch
from audit_handler._reports import Reporter
from audit_handler.errors import SpoolError
from audit_handler.request import CURRENT

__all__ = ["HttpAuditor", "Request"]

_logger = Reporter("audit_handler.http")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, in a form that is the same for all frameworks."""

    method: str
    path: str
    """The application's own path, without the prefix that a proxy or a mount removed."""
    query: str
    headers: Mapping[str, str]
    """By lower-case name."""
    host: str | None
    """The peer's address; empty or None over a Unix socket."""
    agent: Callable[[], Mapping[str, str]]
    """Returns the agent's columns. Called when the request arrives, and when it is audited."""
    session: Callable[[], Any]
    """Returns the session, or a mapping with its id, or None."""
    path_params: Callable[[], Mapping[str, Any] | None]
    """Returns the path parameters that the router has read so far, or None if that failed."""


class _Endpoint:
    """The path of a request as text, without the secrets that the router has found so far."""

    __slots__ = ("_redactors", "_request")

    def __init__(self, request: Request, redactors: Redactors) -> None:
        self._request = request
        self._redactors = redactors

    def __str__(self) -> str:
        return shown_path(self._request.path, self._request.path_params(), self._redactors)


class HttpAuditor:
    """
    Audits the requests of one application, from several threads and tasks.

    For each request a middleware binds `fields` and calls `begin`. When the response is done, it
    calls `entry` and `log`.

    Args:
        logger: Logger of the audit events, or its name.
        session_cookie: Name of the cookie that identifies the session. Only a hash of its value is
            stored.
        rules: Decide which requests to audit, and how much of each to store.
    """

    def __init__(
        self, logger: str | logging.Logger, session_cookie: str | None, rules: HttpRules
    ) -> None:
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._handlers = Handlers(self._logger)
        watch(self._handlers)
        self._session_cookie = session_cookie
        self._rules = rules
        self._user_guard = Guard("get_user", "the audit events name no agent")
        # The obstacles that were logged last: of all events, and of those of durable rules.
        self._obstacle = ""
        self._durable = ""

    def fields(self, request: Request) -> dict[str, Any]:
        """Return the fields of every record that is logged during *request*, for `context.bind`."""
        redactors, rules = self._handlers.redactors(), self._rules
        return {
            **request_fields(
                request.headers,
                request.host,
                redactors,
                rules.networks,
                trusts_unix=rules.trusts_unix,
            ),
            "endpoint": _Endpoint(request, redactors),
            "http_method": request.method,
            **self._who(request),
        }

    def begin(self, request: Request) -> Exchange | None:
        """
        Return the exchange to fill in while *request* is answered, or None if the policy certainly
        does not audit it.

        Call it after the request's fields are bound: fields that are bound later win in its event.
        From now on, `audit_handler.audit` in this context sets fields of this request's event.
        """
        candidates = self._rules.candidates(request.method, request.path)
        if not any(rule.writes for rule in candidates):
            return None
        exchange = Exchange(
            rules=self._rules,
            redactors=self._handlers.redactors(),
            candidates=candidates,
            method=request.method,
            path=request.path,
            query=request.query,
            request_headers=request.headers,
            bound=context.current(),
        )
        CURRENT.set(exchange.said)
        return exchange

    def can_audit(self, exchange: Exchange | None = None) -> bool:
        """
        Return whether every handler that must not miss an audit event would accept one now; see
        `Handlers.can_take` and, for a durable rule, `Handlers.durable_obstacle`.
        """
        if exchange is None or not exchange.must_be_durable:
            return self._handlers.can_take()
        fields = exchange.early_fields()
        probe = Entry(
            level=logging.INFO,
            arguments=(exchange.method, ascii(fields["endpoint"]), 0),
            fields=fields,
            error=None,
        )
        obstacle, before = self._handlers.durable_obstacle(self._record(probe)), self._durable
        self._durable = obstacle
        if obstacle and obstacle != before:
            _logger.error("Requests of a durable rule get 503: %s", obstacle)
        elif before and not obstacle:
            _logger.info("Requests of a durable rule are served again")
        return not obstacle

    def may_wait(self) -> bool:
        """Return whether `log` may block now, on a full spool or a disk."""
        return self._handlers.may_wait()

    def entry(self, exchange: Exchange, request: Request) -> Entry | None:
        """
        Return the audit event of *exchange*, or None if the policy or the application skips it.

        Call it once, in the context of the request, and log the event there, because bound fields
        are part of it. Later calls of `audit_handler.audit` have no effect.
        """
        exchange.said.is_logged = True
        if exchange.said.is_skipped:
            return None
        # Authentication may have happened inside.
        who = self._who(request) if "agent_id" not in exchange.bound else {}
        return make_entry(exchange, who, context.current())

    def log(self, entry: Entry) -> None:
        """
        Log *entry*.

        Raises:
            SpoolError: The handler did not accept it. Only with ``on_full="raise"`` and for a
                durable rule.
        """
        self._note_obstacle()
        if entry.is_durable:
            self._log_durably(entry)
            return
        self._logger.log(
            entry.level,
            "%s %s: %d",
            *entry.arguments,
            extra=entry.fields,
            exc_info=entry.error,
        )

    def _log_durably(self, entry: Entry) -> None:
        try:
            self._handlers.log_durably(self._record(entry))
        except SpoolError as exc:
            text = "%s %s: %d, of a durable rule, ends with an error after it was served: %s"
            _logger.error(text, *entry.arguments, exc)
            raise

    def _record(self, entry: Entry) -> logging.LogRecord:
        error = entry.error
        return self._logger.makeRecord(
            self._logger.name,
            entry.level,
            __file__,
            0,
            "%s %s: %d",
            entry.arguments,
            None if error is None else (type(error), error, error.__traceback__),
            extra=dict(entry.fields),
        )

    def _note_obstacle(self) -> None:
        """Log the reason why no request is audited, and its end, once each."""
        obstacle, before = self._handlers.obstacle(), self._obstacle
        if obstacle == before:
            return
        self._obstacle = obstacle
        if obstacle:
            _logger.warning("No request is audited: %s", obstacle)
        else:
            _logger.info("Requests are audited again")

    def agent(self, get_user: Callable[[], Any]) -> Mapping[str, str]:
        """Return the agent's columns from the user that the application's *get_user* returns."""
        return self._user_guard.call(lambda: agent_fields(get_user()), {})

    def _who(self, request: Request) -> dict[str, Any]:
        session = session_fields(request.headers, self._session_cookie, request.session())
        return {**session, **request.agent()}
