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
from audit_handler._http.rules import HttpRules
from audit_handler.handler import AuditHandler

__all__ = ["HttpAuditor", "Request"]

_logger = logging.getLogger(__name__)


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
    """The peer's address."""
    user: Callable[[], Any]
    """Returns the user; called when the request comes, and again when it is audited."""
    session: Callable[[], Any]
    """Returns the session, or a mapping with its id, or None."""


class HttpAuditor:
    """
    The framework's side of a middleware calls `bind`, then `begin`, and `log` when the response is
    done.

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
        self._session_cookie = session_cookie
        self._rules = rules
        self._is_warned = False

    def fields(self, request: Request) -> dict[str, Any]:
        """Return what all that is logged during *request* is to carry, for `context.bind`."""
        return {
            **request_fields(request.headers, request.host),
            "endpoint": request.path,
            "http_method": request.method,
            **self._who(request),
        }

    def begin(self, request: Request) -> Exchange | None:
        """
        Return the exchange to fill in while *request* is answered, or None when it is not audited.

        Call it when the request's fields are bound: what is bound later wins in its audit.
        """
        if not self._rules.is_audited(request.method, request.path):
            return None
        return Exchange(
            rules=self._rules,
            method=request.method,
            path=request.path,
            query=request.query,
            request_headers=request.headers,
            bound=context.current(),
        )

    def can_audit(self) -> bool:
        """
        Whether an audit would be taken by every handler that must not miss one.

        Those are the `AuditHandler`s with ``on_full="raise"`` that the logger's records reach.
        """
        source: logging.Logger | None = self._logger
        while source is not None:
            ours = [handler for handler in source.handlers if isinstance(handler, AuditHandler)]
            if any(h.settings.on_full == "raise" and not h.can_take() for h in ours):
                return False
            source = source.parent if source.propagate else None
        return True

    def log(self, exchange: Exchange, request: Request) -> None:
        """
        Log the audit of *exchange*, in the context of its request.

        Raises:
            SpoolError: With ``on_full="raise"`` only: it was not taken.
        """
        fields = exchange.fields()
        path, status = fields["endpoint"], fields["status_code"]
        if "agent_id" not in exchange.bound:
            # Authentication may have happened inside.
            fields.update(self._who(request))
        # What the application has bound since the request came says more than what we worked out.
        for name, value in context.current().items():
            if exchange.bound.get(name) is not value:
                fields.pop(name, None)
        level = logging.ERROR if exchange.is_error else logging.INFO
        if not self._logger.isEnabledFor(level) and not self._is_warned:
            self._is_warned = True
            _logger.warning(
                "no request is audited: the logger %r is not enabled for INFO; set its level",
                self._logger.name,
            )
        # A cancelled task says nothing in its traceback that metadata.cancelled does not.
        error = exchange.error if isinstance(exchange.error, Exception) else None
        shown = path if path.isprintable() else ascii(path)
        text = "%s %s: %d"
        self._logger.log(level, text, exchange.method, shown, status, extra=fields, exc_info=error)

    def _who(self, request: Request) -> dict[str, Any]:
        fields = session_fields(request.headers, self._session_cookie, request.session())
        try:
            fields.update(agent_fields(request.user()))
        except Exception:
            # A bug in the application's function is no reason to refuse its requests.
            _logger.exception("get_user failed; the audit names no agent")
        return fields
