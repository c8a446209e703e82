"""The table that gets the rows, and its server; no secret of them is shown."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any
from urllib.parse import unquote

from audit_handler.errors import ConfigurationError

__all__ = ["Target", "require_identifier"]

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# Options of clickhouse-connect; those of proxies may contain a password.
_SECRET_OPTIONS = frozenset({"access_token", "headers", "http_proxy", "https_proxy", "password"})


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
        texts = [text for value in (self.password, *options) for text in _texts(value)]
        found = {text.strip() for text in (*texts, *_logins(texts))}
        return tuple(sorted(found - {""}, key=len, reverse=True))

    def __str__(self) -> str:
        return f"{self.location} table {self.database}.{self.table}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _logins(texts: list[str]) -> Iterator[str]:
    """Yield the credentials in the addresses of proxies among *texts*."""
    for text in texts:
        login = text.partition("://")[2].rpartition("@")[0]
        password = login.partition(":")[2]
        yield from (login, password, unquote(password))


def require_identifier(option: str, value: Any, *, shown: str | None = None) -> None:
    """Raise ConfigurationError unless *value* is a plain name in SQL."""
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise ConfigurationError(
            f"{option}={shown or value!r} is not a plain SQL name; use letters, digits and _, and "
            "do not start with a digit",
            option=option,
        )
