"""The caller of a request: user, session, address and client program."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from audit_handler._http.redactors import Redactors
from audit_handler._http.request_ids import request_ids
from audit_handler.errors import ConfigurationError

__all__ = [
    "agent_fields",
    "check_get_user",
    "request_fields",
    "session_fields",
]

# Characters, with zone, port, brackets and spaces. A longer text is not an address, and would only
# fill the cache.
_LONGEST_ADDRESS = 100
# Characters. Browsers send up to 300; longer ones are cleaned each time and would fill the cache.
_LONGEST_USER_AGENT = 500


def request_fields(
    headers: Mapping[str, str],
    host: str | None,
    redactors: Redactors,
    trusted: Iterable[IPv4Network | IPv6Network] = (),
    *,
    trusts_unix: bool = False,
) -> dict[str, Any]:
    """
    Return the fields that are known when a request arrives: ids, address and client program.

    Args:
        headers: By lower-case name.
        host: The peer's address.
        redactors: Redact the user agent.
        trusted: Networks whose hosts are trusted. An X-Forwarded-For from any other host is
            ignored.
        trusts_unix: Whether to trust a peer over a Unix socket too. It has no address.
    """
    fields: dict[str, Any] = request_ids(headers)
    forwarded = headers.get("x-forwarded-for", "")
    if address := _client(host or "", forwarded, trusted, trusts_unix):
        fields["ip_address"] = str(address)
    if user_agent := headers.get("user-agent"):
        is_usual = len(user_agent) <= _LONGEST_USER_AGENT
        fields["user_agent"] = (
            _cleaned(user_agent, redactors) if is_usual else redactors.clean_text(user_agent)
        )
    return fields


@lru_cache(maxsize=1024)
def _cleaned(user_agent: str, redactors: Redactors) -> str:
    """
    Return *user_agent* without secrets. Cached, because few are distinct and cleaning takes time.
    """
    return redactors.clean_text(user_agent)


def _client(
    host: str, forwarded: str, trusted: Iterable[IPv4Network | IPv6Network], trusts_unix: bool
) -> IPv4Address | IPv6Address | None:
    """
    Return the nearest address that does not belong to a trusted proxy, or None if there is none.

    Each proxy appends the address of its own caller, so the list is read from its end. A trusted
    proxy wrote the last entry that is not itself a trusted proxy, so that entry is true. Its sender
    may have invented everything to the left of it. The header ``Forwarded`` is not read: a proxy
    that writes one of the two headers passes on the other one unchanged, as the client sent it.
    """
    client = _address(host)
    hops = forwarded.split(",")
    is_believed = trusts_unix if not host else _is_in(trusted, client)
    while is_believed and hops:
        before = _address(hops.pop())
        if before is None:
            # "unknown", or not an address. The proxy's caller is not known, so return the proxy.
            break
        client = before
        is_believed = _is_in(trusted, client)
    return client


def _is_in(
    networks: Iterable[IPv4Network | IPv6Network], address: IPv4Address | IPv6Address | None
) -> bool:
    return address is not None and any(address in network for network in networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """
    Return the address in *text*, without port and zone, or None if it has none.

    An IPv4 address that is mapped to IPv6 is returned as IPv4: it is the same host.
    """
    return _parsed(text.strip()) if len(text) <= _LONGEST_ADDRESS else None


@lru_cache(maxsize=1024)
def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        # The host "testclient" in a test, or the path of a Unix socket.
        return None
    return getattr(address, "ipv4_mapped", None) or address


def session_fields(
    headers: Mapping[str, str], cookie: str | None, session: Any = None
) -> dict[str, Any]:
    """
    Return *session_id*: the first half of the SHA-256 of the session's secret, never the secret.

    It is the same for all requests of a session while the cookie stays the same. Starlette's
    ``SessionMiddleware`` signs its cookie again with each response: with it, the session needs an
    id.

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


def check_get_user(get_user: Callable[..., Any], place: str) -> None:
    """
    Check that *get_user* is not async. It is called without ``await``, and a coroutine is not a
    user.

    Args:
        get_user: The application's function.
        place: Where authentication puts the user, for the error text.

    Raises:
        ConfigurationError: It is async.
    """
    if inspect.iscoroutinefunction(get_user) or inspect.iscoroutinefunction(
        type(get_user).__call__
    ):
        raise ConfigurationError(
            "get_user is async, but it is called without await; make it a plain function that "
            f"reads the user that authentication has put into {place}"
        )


def agent_fields(user: Any) -> dict[str, str]:
    """
    Return the agent's columns from *user*: an id, a mapping, or a framework's user object.

    A user with ``is_authenticated = False`` has no columns. An attribute that cannot be read
    (``BaseUser.identity``, a lazy column of a closed database session) counts as missing; nothing
    is raised.
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
