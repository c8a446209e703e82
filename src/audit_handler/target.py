"""The table that gets the rows: parse the dsn, and never show its secrets."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from audit_handler.errors import ConfigurationError

__all__ = ["DSN_FORMS", "TARGET_VARIABLES", "Target", "parse_dsn", "resolve_target"]

DSN_FORMS = (
    "https://user:password@host:8443/database, http://host:8123, chdb:///directory or chdb://memory"
)

TARGET_VARIABLES: Mapping[str, str] = {
    "database": "CLICKHOUSE_DATABASE",
    "cluster": "CLICKHOUSE_CLUSTER",
}
"""Environment variables of the options whose values error messages quote."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# Options of clickhouse-connect; those of proxies may contain a password.
_SECRET_OPTIONS = frozenset({"access_token", "headers", "http_proxy", "https_proxy", "password"})
_DEFAULT_PORTS = {"http": 8123, "https": 8443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    One ClickHouse table, and its server. Immutable; ``str()`` and ``repr()`` show no credential.

    For embedded chDB *path* is the absolute directory of the database (or ``":memory:"``), and
    *host* is empty. For a server *path* is the path of a proxy in front of it, usually empty.
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
            # SQL quotes the cluster: dashes are allowed, and so is a macro in braces.
            name = str(self.cluster).strip("{}").replace("-", "_")
            require_identifier("cluster", name, shown=self.cluster)

    @property
    def is_embedded(self) -> bool:
        """Whether the rows go to chDB, the engine in this process."""
        return self.scheme == "chdb"

    @property
    def is_in_memory(self) -> bool:
        """Whether the database is in memory, so that it ends with this process."""
        return self.is_embedded and self.path == ":memory:"

    @property
    def location(self) -> str:
        """Address of the server, or directory of chDB, without credentials, database and table."""
        if self.is_embedded:
            return f"chdb://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def directory_name(self) -> str:
        """
        Name of this target's directory in a spool: readable, and the same in every process that has
        this target.

        User, password and scheme are not part of it: rows wait for a table, and any user or
        transport may deliver them.
        """
        place = self.path if self.is_embedded else f"{self.host}:{self.port}{self.path}"
        digest = hashlib.sha256(f"{place}/{self.database}/{self.table}".encode()).hexdigest()[:8]
        name = (
            f"chdb-{PurePath(self.path).name}" if self.is_embedded else f"{self.host}-{self.port}"
        )
        return re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{name}-{self.database}-{self.table}-{digest}")

    def secrets(self) -> tuple[str, ...]:
        """Return the texts that no message or log line may contain, longest first."""
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
    """Raise ConfigurationError unless *value* is a plain name in SQL."""
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise ConfigurationError(
            f"{option}={shown or value!r} is not a plain SQL name; use letters, digits and _, and "
            "do not start with a digit",
            option=option,
        )


def resolve_target(given: dict[str, Any], environ: Mapping[str, str]) -> Target:
    """
    Build the target from the arguments of a handler and the environment.

    Removes the options of the target from *given*.

    Raises:
        ConfigurationError: The dsn is missing, or an option of the target is not valid.
    """
    dsn = given.pop("dsn", None) or environ.get("CLICKHOUSE_URL")
    if not dsn:
        raise ConfigurationError(
            "no dsn: pass dsn=... to AuditHandler or set the environment variable CLICKHOUSE_URL; "
            f"use {DSN_FORMS}",
            option="dsn",
        )
    if not isinstance(dsn, str):
        raise ConfigurationError(
            f"the dsn is not a text but {type(dsn).__name__}; use {DSN_FORMS}", option="dsn"
        )
    client_options = given.pop("client_options", {})
    if not isinstance(client_options, Mapping):
        raise ConfigurationError(
            f"client_options is not a mapping but {type(client_options).__name__}; use "
            "one such as {'verify': False}",
            option="client_options",
        )
    target = parse_dsn(
        dsn,
        port=_environment_port(environ),
        user=environ.get("CLICKHOUSE_USER"),
        password=_environment_password(environ),
    )
    target.setdefault("database", environ.get("CLICKHOUSE_DATABASE") or "audit_db")
    if environ.get("CLICKHOUSE_CLUSTER"):
        target["cluster"] = environ["CLICKHOUSE_CLUSTER"]
    for option in ("database", "table", "cluster"):
        if option in given:
            target[option] = given.pop(option)
    target["client_options"] = {**target["client_options"], **client_options}
    return Target(**target)


def _environment_port(environ: Mapping[str, str]) -> int | None:
    text = environ.get("CLICKHOUSE_PORT")
    try:
        return int(text) if text else None
    except ValueError:
        raise ConfigurationError(
            f"CLICKHOUSE_PORT={text!r} is not a number; use one such as 8443"
        ) from None


def _environment_password(environ: Mapping[str, str]) -> str | None:
    """
    Return the password of the environment.

    Reads the file of ``CLICKHOUSE_PASSWORD_FILE`` (Docker and Kubernetes secrets) only if
    ``CLICKHOUSE_PASSWORD`` is not set.
    """
    path = environ.get("CLICKHOUSE_PASSWORD_FILE")
    if environ.get("CLICKHOUSE_PASSWORD") or not path:
        return environ.get("CLICKHOUSE_PASSWORD")
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as exc:
        raise ConfigurationError(
            f"CLICKHOUSE_PASSWORD_FILE={path} cannot be read: {exc.strerror}"
        ) from exc
    except UnicodeDecodeError:
        # Without its cause, because that quotes the content.
        raise ConfigurationError(
            f"CLICKHOUSE_PASSWORD_FILE={path} is not UTF-8 text; save it as UTF-8"
        ) from None


def parse_dsn(
    dsn: str, *, port: int | None, user: str | None, password: str | None
) -> dict[str, Any]:
    """
    Return the fields of `Target` that *dsn* gives; the other arguments fill in missing ones.

    Query parameters become options of clickhouse-connect, as in
    ``https://host/audit_db?ca_cert=/etc/ca.pem``.

    Raises:
        ConfigurationError: The dsn has none of the known forms. The text does not repeat the dsn,
            which may contain a password.
    """
    try:
        parts = urlsplit(dsn)
        dsn_port = parts.port
    except ValueError:
        # Not its text, which quotes the part after the colon: a piece of a password that contains
        # "/".
        raise ConfigurationError(
            "the dsn cannot be read (in user and password, write / as %2F, @ as %40 and so on); "
            f"use {DSN_FORMS}",
            option="dsn",
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
            f"{DSN_FORMS}",
            option="dsn",
        )
    database, _, rest = parts.path.strip("/").partition("/")
    if rest or "@" in database:
        # The text does not repeat the path: after an unescaped / it may be the rest of a password.
        raise ConfigurationError(
            "the dsn's path is more than a database; give only the database, the path of a proxy "
            "as client_options={'proxy_path': ...}, and a / in a password as %2F",
            option="dsn",
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
            "chdb://memory",
            option="dsn",
        )
    # realpath, because chDB and our spool compare paths as text.
    return os.path.realpath(path)
