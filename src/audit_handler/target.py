"""The table that gets the rows, and its server; no secret of them is shown."""

from __future__ import annotations

import hashlib
import json
import re
from binascii import b2a_base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any
from urllib.parse import quote, unquote

from audit_handler.errors import ConfigurationError

__all__ = ["Target", "is_identifier", "require_identifier"]

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# In the names of options that may contain a password or a token, also of those within another
# option (settings, headers, chdb_options).
_SECRET_OPTION = re.compile(
    r"auth|cookie|credential|header|passw|pwd|prox|secret|token|key(?!_file|_path)", re.IGNORECASE
)
# Paths of files, and a path in front of ClickHouse.
_NO_SECRETS = frozenset({"client_cert_key", "proxy_path", "token_provider"})


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
    user: str = field(default="", repr=False)
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
        texts = [text for text in (self.password, *_secret_texts(self.client_options)) if text]
        logins = [*_logins(texts)]
        if self.password:
            logins += [(user, self.password) for user in {self.user, self.user or "default"}]
        found = {*texts, *map(_base64, texts)}
        for user, password in logins:
            found.update((password, _base64(password), _base64(f"{user}:{password}")))
        spelled = {each for text in found for each in _spellings(text)}
        return tuple(sorted(spelled - {""}, key=len, reverse=True))

    def __str__(self) -> str:
        return f"{self.location} table {self.database}.{self.table}"


def _secret_texts(options: Mapping[Any, Any], *, is_secret: bool = False) -> Iterator[str]:
    """Yield the texts of the options that are secret by their names, at any depth."""
    for name, value in options.items():
        is_here = is_secret or (
            name not in _NO_SECRETS and _SECRET_OPTION.search(str(name)) is not None
        )
        if isinstance(value, Mapping):
            yield from _secret_texts(value, is_secret=is_here)
        elif is_here:
            yield from _texts(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _secret_texts(value, is_secret=True)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, bytes):
        yield value.decode("utf-8", errors="replace")
    elif isinstance(value, str):
        yield value


def _logins(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield user and password of the addresses of proxies among *texts*."""
    for text in texts:
        login, at, _ = text.partition("://")[2].rpartition("@")
        if at:
            user, colon, password = login.partition(":")
            # Some put a token in the user's place.
            yield user, password if colon else user
            yield unquote(user), unquote(password if colon else user)


def _base64(text: str) -> str:
    return b2a_base64(text.encode("utf-8", errors="replace"), newline=False).decode("ascii")


def _spellings(text: str) -> Iterator[str]:
    """Yield *text* as URLs, forms, JSON, HTML, SQL, Python and other encodings write it."""
    text = " ".join(text.split())
    url = quote(text, safe="", errors="replace")
    yield from (text, url, url.replace("%20", "+"), quote(text, errors="replace"), url.lower())
    yield from (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    yield from (repr(text)[1:-1], text.replace("\\", "\\\\").replace("'", "\\'"))
    html = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    yield from (html, html.replace('"', "&quot;").replace("'", "&#x27;"))
    yield html.replace('"', "&#34;").replace("'", "&#39;")
    if not text.isascii():
        yield text.encode("utf-8", errors="replace").decode("latin-1")
        yield text.encode("ascii", errors="replace").decode("ascii")
        yield text.encode("utf-8", errors="replace").decode("ascii", errors="replace")


def is_identifier(value: Any) -> bool:
    """Return whether *value* is a plain name in SQL."""
    return isinstance(value, str) and _IDENTIFIER.fullmatch(value) is not None


def require_identifier(option: str, value: Any, *, shown: str | None = None) -> None:
    """Raise ConfigurationError unless *value* is a plain name in SQL."""
    if not is_identifier(value):
        raise ConfigurationError(
            f"{option}={shown or value!r} is not a plain SQL name; use letters, digits and _, and "
            "do not start with a digit",
            option=option,
        )
