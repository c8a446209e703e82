"""
Take a dsn apart. No error repeats any of it: each part may be a piece of a password, because an
unescaped ``/``, ``?``, ``#`` or ``@`` in a password moves the borders.

So a dsn of a server has at most one ``@``, which stands before the host, and no ``#``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from audit_handler.errors import ConfigurationError
from audit_handler.target import is_identifier

__all__ = ["DEFAULT_PORTS", "DSN_FORMS", "parse_dsn", "split_dsn"]

DSN_FORMS = (
    "https://user:password@host:8443/database, http://host:8123, chdb:///directory or chdb://memory"
)

DEFAULT_PORTS = {"http": 8123, "https": 8443}
"""ClickHouse's own ports."""

_ESCAPE = (
    "percent-encode user and password in the dsn (in Python: urllib.parse.quote(password, "
    'safe="")), or give the password in CLICKHOUSE_PASSWORD or CLICKHOUSE_PASSWORD_FILE'
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,19})://(.*)", re.DOTALL)
_SERVER = re.compile(r"(?:([^/?#@]*)@)?([^/?#@]*)(?:/([^?#@]*))?(?:\?([^#@]*))?")
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%25[\w.-]+)?\]|[\w.-]*)(?::([0-9]*))?", re.ASCII)
_OPTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Schemes of other clients, which speak the native protocol or the same HTTP.
_OTHER_CLIENTS = ("clickhouse", "jdbc", "tcp", "native")


class _Unreadable(ConfigurationError):
    """The dsn cannot be used."""

    def __init__(self, problem: str, remedy: str = f"use {DSN_FORMS}") -> None:
        super().__init__(f"the dsn {problem}; {remedy}", option="dsn")


def parse_dsn(dsn: str) -> dict[str, Any]:
    """
    Return the fields of `Target` that *dsn* gives. White space around it is ignored: secrets that
    were read from a file often end with a line break.

    Query parameters become options of clickhouse-connect, as in
    ``https://host/audit_db?ca_cert=/etc/ca.pem``.

    Raises:
        ConfigurationError: The dsn has none of the known forms. The text does not repeat the dsn,
            which may contain a password.
    """
    fields = split_dsn(dsn)
    if fields.get("port") == 0:
        fields["port"] = DEFAULT_PORTS[fields["scheme"]]
    return fields


def split_dsn(dsn: str) -> dict[str, Any]:
    """Do as `parse_dsn`, but return the *port* 0 if the dsn leaves it out."""
    dsn = dsn.strip()
    if dsn[:1] in ("'", '"'):
        raise _Unreadable("starts with a quote", "remove the quotes: env files of Docker keep them")
    found = _SCHEME.fullmatch(dsn)
    if not found:
        raise _Unreadable("starts with no scheme")
    scheme, rest = found[1].lower(), found[2]
    if scheme == "chdb":
        return _embedded(rest)
    if other := next((each for each in _OTHER_CLIENTS if scheme.startswith(each)), ""):
        raise _Unreadable(
            f"starts as that of another client ({other}), and audit-handler speaks HTTP",
            f"use http:// and the HTTP port (8123), or https:// (8443): {DSN_FORMS}",
        )
    if scheme not in DEFAULT_PORTS:
        raise _Unreadable("starts with a scheme that is unknown")
    return {"scheme": scheme, **_server(rest)}


def _server(rest: str) -> dict[str, Any]:
    if any(c.isspace() or not c.isprintable() for c in rest):
        raise _Unreadable("contains a space or a control character", _ESCAPE)
    if "://" in rest and "," in rest:
        raise _Unreadable("names several servers", "give one, for example a load balancer")
    found = _SERVER.fullmatch(rest)
    if not found:
        raise _Unreadable("has a #, or an @ that is not the one before the host", _ESCAPE)
    login, address, path, query = (part or "" for part in found.groups())
    user, _, password = login.partition(":")
    host, port = _host_and_port(address)
    fields: dict[str, Any] = {
        "host": host,
        "port": port,
        "user": _decoded(user, "user"),
        "password": _decoded(password, "password"),
        "client_options": _query(query),
    }
    fields["path"] = fields["client_options"].get("proxy_path", "")
    database, _, more = path.strip("/").partition("/")
    if more:
        # Not the path itself: it may be the rest of a password.
        raise _Unreadable(
            "has a path that is more than a database",
            "give only the database, the path of a proxy as "
            f"client_options={{'proxy_path': ...}}; and {_ESCAPE}",
        )
    if database:
        fields["database"] = _decoded(database, "database")
        if not is_identifier(fields["database"]):
            # Neither the name: without the @, a piece of the password stands there.
            raise _Unreadable(
                "has a database that is not a plain SQL name",
                "use letters, digits and _, and do not start with a digit; the form is "
                f"{DSN_FORMS}",
            )
    return fields


def _host_and_port(address: str) -> tuple[str, int]:
    if "," in address:
        raise _Unreadable("names several hosts", "give one, for example a load balancer")
    found = _HOST_AND_PORT.fullmatch(address)
    if not found:
        is_bare = address.count(":") > 1 and "[" not in address
        raise _Unreadable(
            "has a host or a port that cannot be read",
            "write an IPv6 address in brackets, as in http://[2001:db8::1]:8123"
            if is_bare
            else f"check both, and {_ESCAPE}; use {DSN_FORMS}",
        )
    host, port = found[1].strip("[]").replace("%25", "%").lower(), found[2]
    if not host:
        raise _Unreadable("names no host")
    if ":" in host and not _is_ipv6(host):
        raise _Unreadable("has a host in brackets that is no IPv6 address")
    if ":" not in host and not all(0 < len(label) < 64 for label in host.rstrip(".").split(".")):
        raise _Unreadable("has a host with a part that is empty or longer than 63 characters")
    number = int(port) if port and len(port) < 6 else 0
    if port and not 1 <= number <= 65_535:
        raise _Unreadable("has a port that is not from 1 to 65535")
    return host, number


def _is_ipv6(host: str) -> bool:
    from ipaddress import IPv6Address  # rarely needed

    try:
        IPv6Address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _decoded(text: str, part: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise _Unreadable(f"has a % in the {part} that starts no escape (write it as %25)", _ESCAPE)
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        # Without its cause, which quotes the bytes.
        raise _Unreadable(f"has escapes in the {part} that are not UTF-8", _ESCAPE) from None


def _query(query: str) -> Mapping[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if not all(_OPTION.fullmatch(name) for name in options):
        raise _Unreadable(
            "has a query parameter that is no option of clickhouse-connect",
            f"write name=value; and {_ESCAPE}",
        )
    if len(options) < len(pairs):
        raise _Unreadable("has a query parameter twice", "give each once")
    if not all(options.values()):
        raise _Unreadable(
            "has a query parameter without a value", "write name=value, or leave it out"
        )
    return options


def _embedded(rest: str) -> dict[str, Any]:
    if "#" in rest:
        raise _Unreadable("has a #", "write it as %23")
    place, _, query = rest.partition("?")
    netloc, _, path = place.partition("/")
    fields = {"scheme": "chdb", "client_options": _query(query)}
    if netloc == "memory" and not path:
        return {**fields, "path": ":memory:"}
    if netloc or not path:
        raise _Unreadable(
            "names no absolute directory for chdb", "use chdb:///var/lib/app/audit or chdb://memory"
        )
    # realpath, because chDB and our spool compare paths as text.
    return {**fields, "path": os.path.realpath("/" + unquote(path))}
