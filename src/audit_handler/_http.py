"""
The rules of an audited HTTP request, whatever the framework: which requests count, what they did to
what, and how much of headers and bodies is kept.

A middleware makes an `Exchange` for each audited request, hands it what passes by, and logs what
`Exchange.fields` works out. Nothing here redacts values under secret names: the handler does that
for whatever is logged, so bodies are handed on as objects, whose keys it can see.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address
from typing import Any

from audit_handler._bodies import Body, pairs
from audit_handler.errors import ConfigurationError
from audit_handler.handler import AuditHandler
from audit_handler.redaction import REDACTED, Redactor
from audit_handler.tracing import active_span_ids

__all__ = [
    "Exchange",
    "HttpRules",
    "agent_fields",
    "can_audit",
    "request_fields",
    "session_fields",
]

_ACTIONS: Mapping[str, str] = {
    "GET": "READ",
    "HEAD": "READ",
    "POST": "CREATE",
    "PUT": "UPDATE",
    "PATCH": "UPDATE",
    "DELETE": "DELETE",
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
_VERSION = re.compile(r"v\d+(\.\d+)*")
_UUID = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)

_redactor = Redactor()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRules:
    """
    Which requests are audited, and what is kept of them.

    Raises:
        ConfigurationError: An option is out of its range; the text names option, value and remedy.
    """

    methods: Iterable[str] = ("POST", "PUT", "PATCH", "DELETE")
    """Methods to audit."""
    path_prefixes: Iterable[str] = ("/api",)
    """Beginnings of paths to audit, in whole segments: ``/api`` is not ``/apis``."""
    exclude_paths: Iterable[str] = ()
    """Exceptions from the prefixes; ``*`` stands for one segment: ``/api/orders/*/approve``."""
    request_headers: Iterable[str] = ("content-type", "user-agent", "origin")
    """Headers of the request to keep."""
    response_headers: Iterable[str] = ("content-type",)
    """Headers of the response to keep."""
    max_body_bytes: int = 64 * 1024
    """
    Bytes to keep of a body, 0 (no bodies) to 1 MiB; the handler's *max_value_bytes* cuts at 64 KiB
    too.
    """

    def __post_init__(self) -> None:
        for option in ("methods", "path_prefixes", "exclude_paths"):
            self._make_tuple(option, str.upper if option == "methods" else str)
        for option in ("request_headers", "response_headers"):
            self._make_tuple(option, str.lower)
            for name in getattr(self, option):
                if _redactor.is_secret(name):
                    raise ConfigurationError(f"{option} names {name!r}, a secret; leave it out")
        for path in (*self.path_prefixes, *self.exclude_paths):
            if not path.startswith("/"):
                raise ConfigurationError(f"path {path!r} does not start with a slash; add one")
        if not 0 <= self.max_body_bytes <= 1024 * 1024:
            raise ConfigurationError(
                f"max_body_bytes={self.max_body_bytes} is out of range; use 0 to 1,048,576"
            )

    def _make_tuple(self, option: str, convert: Callable[[str], str]) -> None:
        value = getattr(self, option)
        values = (value,) if isinstance(value, str) else value
        object.__setattr__(self, option, tuple(map(convert, values)))

    def is_audited(self, method: str, path: str) -> bool:
        """Whether a request of *method* to *path* is audited."""
        return (
            method in self.methods
            and _starts_with(tuple(self.path_prefixes)).match(path) is not None
            and _starts_with(tuple(self.exclude_paths)).match(path) is None
        )

    def prefix_of(self, path: str) -> str:
        """Return the part of *path* for which it is audited."""
        found = _starts_with(tuple(self.path_prefixes)).match(path)
        return found[0] if found else ""


@lru_cache(maxsize=64)
def _starts_with(paths: tuple[str, ...]) -> re.Pattern[str]:
    names = (re.escape(path.rstrip("/")).replace(r"\*", "[^/]*") for path in paths)
    return re.compile(rf"(?:{'|'.join(names)})(?:/|\Z)" if paths else r"(?!)")


@dataclass(slots=True, kw_only=True)
class Exchange:
    """
    One request and its response, filled in as they pass by. Belongs to one request alone.
    """

    rules: HttpRules
    method: str
    path: str
    request_headers: Mapping[str, str]
    """By lower-case name, as all headers here."""
    query: str = ""
    path_params: Mapping[str, Any] = field(default_factory=dict)
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
    clock: Callable[[], float] = time.perf_counter
    request_body: Body = field(init=False)
    response_body: Body = field(init=False)
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.clock()
        self.request_body = Body(self.request_headers, self.rules.max_body_bytes)
        self.response_body = Body({}, 0)

    def start_response(self, status: int, headers: Mapping[str, str]) -> None:
        """Take note that the response has started."""
        self.status = status
        self.response_headers = headers
        self.response_body = Body(headers, self.rules.max_body_bytes)

    @property
    def is_error(self) -> bool:
        """Whether the application failed; a client that went away or a cancelled task is no error
        of its own."""
        return isinstance(self.error, Exception) and not self.is_disconnected

    def fields(self) -> dict[str, Any]:
        """Return the audit of this exchange: values by column, those that are known."""
        elapsed = self.clock() - self._started
        request, response = self.request_body.value(), self.response_body.value()
        query = pairs(self.query)
        path, resource_type, own_id, parent_id = self._resource()
        is_aborted = self.is_disconnected or (self.error is not None and not self.is_error)
        status = self.status or (499 if is_aborted else 500)
        sources = (request, response, query)
        fields = {
            "action": "ERROR" if self.is_error else _ACTIONS.get(self.method, self.method),
            "outcome": self._outcome(status),
            "resource_type": resource_type,
            "resource_id": own_id or _id_in(sources, resource_type) or parent_id,
            "resource_name": _value_of((request, response), ("name", "title")),
            "endpoint": path,
            "http_method": self.method,
            "status_code": status,
            "response_time_ms": round(elapsed * 1000),
            "request_body": request,
            "response_body": response,
            "request_headers": _chosen(self.request_headers, self.rules.request_headers),
            "response_headers": _chosen(self.response_headers, self.rules.response_headers),
            "metadata": self._metadata(query),
        }
        if status >= 400 and self.error is None:
            fields["error_message"] = _value_of((response,), ("detail", "error", "message"))
        return {name: value for name, value in fields.items() if value not in (None, "", {}, [])}

    def _outcome(self, status: int) -> str:
        if not self.is_complete or status >= 400:
            return "failure"
        # 307 and 308 ask the client to send the same again: nothing was done yet.
        return "unknown" if status in (307, 308) else "success"

    def _metadata(self, query: Any) -> dict[str, Any]:
        bodies = {"request_body": self.request_body, "response_body": self.response_body}
        # Whoever has a tracer finds the trace id in the column; what the client called it is here.
        sent_id = self.request_headers.get("x-request-id", "") if active_span_ids() else ""
        metadata = {
            "query_params": query,
            "path_params": dict(self.path_params),
            "route": self.route,
            "x_request_id": sent_id if _REQUEST_ID.fullmatch(sent_id) else "",
            "client_disconnected": self.is_disconnected,
            "cancelled": self.error is not None and not isinstance(self.error, Exception),
            "_truncated_body": {name: body.size for name, body in bodies.items() if body.is_cut},
        }
        return {name: value for name, value in metadata.items() if value}

    def _resource(self) -> tuple[str, str, str, str]:
        """
        Return the path without secrets, the type, the id that follows it, and the last id before
        it.

        The type is the last segment that is no id: ``/api/v1/orders/17/items`` is about an item of
        order 17, ``/api/orders/17`` about the order.
        """
        params = {name: str(value).split("/") for name, value in self.path_params.items()}
        values = {value for values in params.values() for value in values}
        secrets = {
            value
            for name, values in params.items()
            if _redactor.is_secret(name)
            for value in values
        }
        path = [REDACTED if part in secrets else part for part in self.path.split("/")]
        if secrets:
            values.add(REDACTED)
        parts, prefix = _segments(path), _segments(self.rules.prefix_of(self.path).split("/"))
        shapes = [part.isdecimal() or _UUID.fullmatch(part) is not None for part in parts]
        is_id = [shape or part in values for shape, part in zip(shapes, parts, strict=True)]
        inner = is_id[len(prefix) :]
        if (all(inner) and len(inner) > 1) or all(is_id):
            # A generic route: in /api/{kind}/{id} the kind is a parameter too.
            is_id = shapes
        last = max((at for at, flag in enumerate(is_id) if not flag), default=-1)
        parents = [part for part, flag in zip(parts[: max(last, 0)], is_id, strict=False) if flag]
        own_id = "/".join(parts[last + 1 :])
        parent_id = parents[-1] if parents else ""
        return "/".join(path), parts[last] if last >= 0 else "", own_id, parent_id


def can_audit(logger: logging.Logger) -> bool:
    """
    Whether an audit logged to *logger* would be taken by every handler that must not miss one.

    Those are the `AuditHandler`s with ``on_full="raise"`` that the logger's records reach.
    """
    source: logging.Logger | None = logger
    while source is not None:
        ours = [handler for handler in source.handlers if isinstance(handler, AuditHandler)]
        if any(h.settings.on_full == "raise" and not h.can_take() for h in ours):
            return False
        source = source.parent if source.propagate else None
    return True


def _segments(parts: Iterable[str]) -> list[str]:
    return [part for part in parts if part and not _VERSION.fullmatch(part)]


def _chosen(headers: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}


def _id_in(sources: Iterable[Any], resource_type: str) -> Any:
    """Return the id in the first object that has one: under ``id``, ``order_id``, ``ordersId``."""
    name = re.sub(r"[^a-z0-9]", "", resource_type.lower())
    singulars = {name, name.removesuffix("s"), name.removesuffix("es")}
    singulars.add(re.sub("ies$", "y", name))
    wanted = {f"{singular}id" for singular in singulars}
    for source in sources:
        if isinstance(source, dict):
            # A token_id is an id, but the redactor takes it for a secret, and so it is one here.
            own = [
                key
                for key in source
                if re.sub(r"[_-]", "", key.lower()) in wanted and not _redactor.is_secret(key)
            ]
            if found := _value_of((source,), ("id", *own)):
                return found
    return None


def _value_of(sources: Iterable[Any], keys: Iterable[str]) -> Any:
    """Return the first text or number that the first of *sources* with one has under *keys*."""
    for source in sources:
        if isinstance(source, dict):
            for key in keys:
                value = source.get(key)
                if (type(value) is str and value) or type(value) is int:
                    return str(value)
    return None


# Who, and from where


def request_fields(headers: Mapping[str, str], host: str | None) -> dict[str, Any]:
    """
    Return what is known of a request when it arrives: its ids, address and client program.

    Args:
        headers: By lower-case name.
        host: The peer's address. Never one that a header claims: a proxy that may speak for others
            is the server's business (uvicorn: ``--forwarded-allow-ips``).
    """
    fields: dict[str, Any] = {}
    sent_id = headers.get("x-request-id", "")
    if _REQUEST_ID.fullmatch(sent_id):
        fields["request_id"] = sent_id
    else:
        span = active_span_ids()
        fields["request_id"] = span[0] if span else uuid.uuid4().hex
    if trace := _TRACEPARENT.fullmatch(headers.get("traceparent", "")):
        fields["trace_id"] = trace[1]
    if address := _address(host or ""):
        fields["ip_address"] = address
    if user_agent := headers.get("user-agent"):
        fields["user_agent"] = user_agent
    return fields


@lru_cache(maxsize=1024)
def _address(host: str) -> str | None:
    """Return *host* if it is an address, without the zone of a link-local one."""
    address = host.partition("%")[0]
    try:
        return str(ip_address(address))
    except ValueError:
        # "testclient", or the path of a Unix socket.
        return None


def session_fields(
    headers: Mapping[str, str], cookie: str | None, session: Any = None
) -> dict[str, Any]:
    """
    Return *session_id*: the first half of the SHA-256 of the session's secret, never the secret
    itself.

    The same for all requests of a session, as long as its cookie stays the same; a cookie that is
    signed anew with each response (Starlette's ``SessionMiddleware``) needs an id in the session.

    Args:
        headers: By lower-case name.
        cookie: Name of the session cookie.
        session: The session itself, or a mapping with its id.
    """
    if isinstance(session, Mapping):
        session = session.get("session_id") or session.get("id")
    secret = session if isinstance(session, str) else ""
    if cookie and not secret:
        for part in headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == cookie:
                secret = value.strip('"')
    return {"session_id": sha256(secret.encode()).hexdigest()[:32]} if secret else {}


_AGENT_SOURCES: Mapping[str, tuple[str, ...]] = {
    "agent_id": ("agent_id", "id", "user_id", "identity", "sub", "username"),
    "agent_name": ("agent_name", "display_name", "name", "full_name", "username"),
    "agent_role": ("agent_role", "role", "roles"),
    "agent_email": ("agent_email", "email"),
}


def agent_fields(user: Any) -> dict[str, str]:
    """
    Return the agent's columns from *user*: an id, a mapping, or an object as frameworks have it.

    A user that says ``is_authenticated = False`` is nobody. Never raises for what *user* does: an
    attribute that cannot be read (``BaseUser.identity``, a lazy column of a closed session) is
    none.
    """
    if user is None:
        return {}
    if isinstance(user, str | int | uuid.UUID):
        return {"agent_id": str(user)} if user != "" else {}

    def read(name: str) -> Any:
        try:
            return user.get(name) if isinstance(user, Mapping) else getattr(user, name, None)
        except Exception:  # noqa: BLE001  # a property of the application's user class
            return None

    if read("is_authenticated") is False:
        return {}
    fields = {}
    for column, names in _AGENT_SOURCES.items():
        texts = (_as_text(read(name)) for name in names)
        if text := next(filter(None, texts), ""):
            fields[column] = text
    return fields


def _as_text(value: Any) -> str:
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(sorted(filter(None, map(_as_text, value))))
    is_plain = isinstance(value, str | int | uuid.UUID) and not isinstance(value, bool)
    return str(value) if is_plain else ""
