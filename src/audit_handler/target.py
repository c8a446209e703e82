"""Where the rows go: a dsn, taken apart, with its secrets kept out of sight."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from audit_handler.errors import ConfigurationError

__all__ = ["Target", "parse_dsn"]

DSN_FORMS = (
    "https://user:password@host:8443/database, http://host:8123, chdb:///directory or chdb://memory"
)

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_SECRET_OPTIONS = frozenset({"access_token", "headers", "http_proxy", "https_proxy", "password"})
# Of clickhouse-connect's; the proxies' may have a password in them.
_DEFAULT_PORTS = {"http": 8123, "https": 8443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    One ClickHouse table, and how to reach it. Immutable; ``str()`` and ``repr()`` show no
    credential.

    For embedded chDB *path* is the absolute directory of the database (or ``":memory:"``), and
    *host* is empty. For a server *path* is the path of a proxy in front of it, mostly empty.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    database: str = "audit_db"
    table: str = "audit_logs"
    cluster: str = ""
    client_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for option in ("database", "table"):
            require_identifier(option, getattr(self, option))
        if self.cluster:
            # A dash, or a macro in braces, stands in quotes there.
            name = str(self.cluster).strip("{}").replace("-", "_")
            require_identifier("cluster", name, shown=self.cluster)

    @property
    def is_embedded(self) -> bool:
        """Whether the rows go to chDB, the engine in this process."""
        return self.scheme == "chdb"

    @property
    def is_in_memory(self) -> bool:
        """Whether the database itself ends with this process."""
        return self.is_embedded and self.path == ":memory:"

    @property
    def location(self) -> str:
        """The database's address without credentials, database and table."""
        if self.is_embedded:
            return f"chdb://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def directory_name(self) -> str:
        """
        The name of this target's directory in a spool: readable, and the same for every process of
        this target.

        Credentials and scheme are left out: rows wait for a table, whatever account or transport
        brings them there.
        """
        place = self.path if self.is_embedded else f"{self.host}:{self.port}{self.path}"
        digest = hashlib.sha256(f"{place}/{self.database}/{self.table}".encode()).hexdigest()[:8]
        name = (
            f"chdb-{PurePath(self.path).name}" if self.is_embedded else f"{self.host}-{self.port}"
        )
        return re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{name}-{self.database}-{self.table}-{digest}")

    def secrets(self) -> tuple[str, ...]:
        """Return what no text that is shown may contain, longest first."""
        options = [value for name, value in self.client_options.items() if name in _SECRET_OPTIONS]
        found = {text.strip() for value in (self.password, *options) for text in _texts(value)}
        return tuple(sorted(found - {""}, key=len, reverse=True))

    def __str__(self) -> str:
        return f"{self.location} table {self.database}.{self.table}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def require_identifier(option: str, value: Any, *, shown: str | None = None) -> None:
    """Raise ConfigurationError unless *value* can stand in SQL as a plain name."""
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise ConfigurationError(
            f"{option}={shown or value!r} is no plain SQL name; use letters, digits and _, not "
            "starting with a digit"
        )


def parse_dsn(
    dsn: str, *, port: int | None, user: str | None, password: str | None
) -> dict[str, Any]:
    """
    Take *dsn* apart into the fields of `Target`; what it leaves open is filled from the other
    arguments.

    Query parameters become options of clickhouse-connect, as in
    ``https://host/audit_db?ca_cert=/etc/ca.pem``.

    Raises:
        ConfigurationError: The dsn has none of the known forms. The text does not repeat it: it may
            hold a password.
    """
    try:
        parts = urlsplit(dsn)
        dsn_port = parts.port
    except ValueError:
        # Its text quotes what stands behind the colon: a piece of a password with a "/" in it.
        raise ConfigurationError(
            "the dsn cannot be read (in user and password, write / as %2F, @ as %40 and so on); "
            f"use {DSN_FORMS}"
        ) from None
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    if parts.scheme == "chdb":
        return {
            "scheme": "chdb",
            "path": _chdb_path(parts.netloc, unquote(parts.path)),
            "client_options": options,
        }
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ConfigurationError(
            f"the dsn starts with {parts.scheme + '://' if parts.scheme else 'no scheme'}; use "
            f"{DSN_FORMS}"
        )
    database, _, rest = parts.path.strip("/").partition("/")
    if rest or "@" in database:
        # Not repeated: behind an unescaped / of a password, this is the rest of it.
        raise ConfigurationError(
            "the dsn's path is more than a database; give the database alone, the path of a proxy "
            "as client_options={'proxy_path': ...}, and a / in a password as %2F"
        )
    fields = {
        "scheme": parts.scheme,
        "host": parts.hostname,
        "port": dsn_port or port or _DEFAULT_PORTS[parts.scheme],
        "user": unquote(parts.username or "") or user or "",
        "password": unquote(parts.password or "") or password or "",
        "path": options.get("proxy_path", ""),
        "client_options": options,
    }
    if database:
        fields["database"] = unquote(database)
    return fields


def _chdb_path(netloc: str, path: str) -> str:
    if netloc == "memory" and path in ("", "/"):
        return ":memory:"
    if netloc or path in ("", "/"):
        raise ConfigurationError(
            "the dsn names no absolute directory for chdb; use chdb:///var/lib/app/audit or "
            "chdb://memory"
        )
    # realpath, because chDB and our spool compare paths as text.
    return os.path.realpath(path)
