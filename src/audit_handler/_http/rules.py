"""Which requests are audited, and what is kept of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from audit_handler.errors import ConfigurationError
from audit_handler.redaction import Redactor

__all__ = ["HttpRules"]

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
