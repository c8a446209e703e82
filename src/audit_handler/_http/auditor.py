"""
What a middleware does with a request, whatever its framework: it binds who and which, decides,
asks, and logs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from audit_handler import context
from audit_handler._http.caller import agent_fields, request_fields, session_fields
from audit_handler._http.exchange import Exchange
from audit_handler._http.guard import Guard
from audit_handler._http.handlers import Handlers
from audit_handler._http.redactors import Redactors
from audit_handler._http.resource import shown_path
from audit_handler._http.rules import HttpRules
from audit_handler.policy import Clause
from audit_handler.request import CURRENT
from audit_handler.schema import COLUMNS

__all__ = ["HttpAuditor", "Request"]

_logger = logging.getLogger("audit_handler.http")

_RECORD_NAMES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
# Names that logging refuses in `extra`.
_CONTENT = ("request_body", "response_body", "old_value", "new_value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as its framework has it."""

    method: str
    path: str
    """The application's own path, without the one that a proxy in front of it took off."""
    query: str
    headers: Mapping[str, str]
    """By lower-case name."""
    host: str | None
    """The peer's address; empty or None over a Unix socket."""
    agent: Callable[[], Mapping[str, str]]
    """
    Returns the agent's columns; called when the request comes, and again when it is audited.
    """
    session: Callable[[], Any]
    """Returns the session, or a mapping with its id, or None."""
    path_params: Callable[[], Mapping[str, Any] | None]
    """Returns what the router has read from the path so far, or None where it could not."""


class _Endpoint:
    """The path of a request as text, without the secrets that the router has found in it by now."""

    __slots__ = ("_redactors", "_request")

    def __init__(self, request: Request, redactors: Redactors) -> None:
        self._request = request
        self._redactors = redactors

    def __str__(self) -> str:
        return shown_path(self._request.path, self._request.path_params(), self._redactors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An audit that is ready to be logged."""

    level: int
    arguments: tuple[str, str, int]
    """Of its message: method, path and status."""
    fields: Mapping[str, Any]
    error: Exception | None


class HttpAuditor:
    """
    The framework's side of a middleware binds `fields`, then calls `begin`, and when the response
    is done `entry` and `log`.

    Serves all requests of an application, from several threads and tasks.

    Args:
        logger: Logger of the audits, or its name.
        session_cookie: Name of the cookie that tells sessions apart; only its hash is kept.
        rules: Which requests, and what of them.
    """

    def __init__(
        self, logger: str | logging.Logger, session_cookie: str | None, rules: HttpRules
    ) -> None:
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._handlers = Handlers(self._logger)
        self._session_cookie = session_cookie
        self._rules = rules
        self._user_guard = Guard("get_user", "the audits of such requests name no agent")
        self._is_warned = False

    def fields(self, request: Request) -> dict[str, Any]:
        """Return what all that is logged during *request* is to carry, for `context.bind`."""
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
        Return the exchange to fill in while *request* is answered, or None when it is certain that
        it is not audited.

        Call it when the request's fields are bound: what is bound later wins in its audit. From now
        on `audit_handler.audit` in this context is about this request.
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
        Whether an audit would be taken by every handler that must not miss one: see
        `Handlers.can_take`.
        """
        must_be_durable = exchange is not None and exchange.must_be_durable
        if must_be_durable and not self._logger.isEnabledFor(logging.INFO):
            return False
        return self._handlers.can_take(must_be_durable=must_be_durable)

    def may_wait(self) -> bool:
        """Whether `log` may keep its caller waiting now, for room or for a disk."""
        return self._handlers.may_wait()

    def entry(self, exchange: Exchange, request: Request) -> Entry | None:
        """
        Return the audit of *exchange*, or None if its policy wants none.

        Call it once, in the context of the request, and log it there: what is bound counts too.
        What the application says after this comes too late.
        """
        said = exchange.said
        said.is_logged = True
        if said.is_skipped:
            return None
        before, bound = exchange.bound, context.current()
        own = {name: value for name, value in bound.items() if before.get(name) is not value}
        # Authentication may have happened inside.
        who = self._who(request) if "agent_id" not in before else {}
        users = (source.get("agent_id") for source in (said.fields, own, who, before))
        rule = exchange.decide(next((str(user) for user in users if user is not None), ""))
        if rule is None:
            return None
        found = exchange.fields(rule)
        # From the weakest: 1. what was bound when the request came, and then cleared,
        fields = {
            name: value
            for name, value in before.items()
            if name not in bound and name not in _RECORD_NAMES
        }
        # 2. what we found, 3. what was bound since. An extra would win over that, so it has none;
        # but for the action, by which the handler knows an audit, and for metadata, which joins.
        fields.update(found)
        fields.update(who)
        for name in own:
            if name not in ("action", "metadata"):
                fields.pop(name, None)
        fields["action"] = own.get("action") or found["action"]
        if rule.mask:
            fields.update((name, rule.masked(bound[name])) for name in _CONTENT if name in bound)
        # 4. what the application said of this very audit.
        _add(fields, said.fields, rule)
        path = found.get("endpoint", "")
        return Entry(
            level=logging.ERROR if exchange.is_error else logging.INFO,
            arguments=(
                exchange.method,
                path if path.isprintable() else ascii(path),
                found["status_code"],
            ),
            fields=fields,
            # A cancelled task says nothing in its traceback that metadata.cancelled does not.
            error=exchange.error if isinstance(exchange.error, Exception) else None,
        )

    def log(self, entry: Entry) -> None:
        """
        Log *entry*.

        Raises:
            SpoolError: With ``on_full="raise"`` only: it was not taken.
        """
        if not self._logger.isEnabledFor(entry.level) and not self._is_warned:
            self._is_warned = True
            _logger.warning(
                "no request is audited: the logger %r is not enabled for INFO; set its level",
                self._logger.name,
            )
        self._logger.log(
            entry.level,
            "%s %s: %d",
            *entry.arguments,
            extra=entry.fields,
            exc_info=entry.error,
        )

    def agent(self, get_user: Callable[[], Any]) -> Mapping[str, str]:
        """Return the agent's columns from what the application's *get_user* returns."""
        return self._user_guard.call(lambda: agent_fields(get_user()), {})

    def _who(self, request: Request) -> dict[str, Any]:
        session = session_fields(request.headers, self._session_cookie, request.session())
        return {**session, **request.agent()}


def _add(fields: dict[str, Any], said: Mapping[str, Any], rule: Clause) -> None:
    """Let what the application *said* win over *fields*; of metadata, name by name."""
    metadata = dict(fields.get("metadata", {}))
    for name, value in said.items():
        if name == "metadata" and isinstance(value, dict):
            metadata.update(rule.masked(value))
        elif name == "metadata" or name in _RECORD_NAMES:
            metadata.update(rule.masked({name: value}))
        elif name in COLUMNS:
            # No field's name of the application: only what is in it is masked.
            fields[name] = rule.masked(value)
        else:
            fields.update(rule.masked({name: value}))
    if metadata:
        fields["metadata"] = metadata
