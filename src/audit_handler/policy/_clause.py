"""`Clause`: a checked rule, in a form that is matched with requests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from audit_handler._record.redaction import Redactor

__all__ = ["WEBSOCKET", "Clause"]

WEBSOCKET = "WEBSOCKET"
"""Stands for the method when a WebSocket is opened. Only a rule that names it matches one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clause:
    """A checked rule. Every request meets an empty condition."""

    number: int
    """Position in the policy, from 1."""
    level: str
    methods: frozenset[str]
    paths: re.Pattern[str] | None
    routes: frozenset[str]
    statuses: frozenset[int]
    users: frozenset[str]
    fields: Mapping[str, str]
    """*action* and *resource_type*, if the rule has them."""
    mask: Redactor | None
    redact_except: tuple[str, ...]
    """Names of fields that are not redacted."""
    durable: bool

    # Computed once, because every request needs them.
    is_certain: bool = field(init=False)
    """Whether method and path alone decide if the rule matches."""
    writes: bool = field(init=False)
    """Whether the requests that it matches are audited."""
    keeps_request: bool = field(init=False)
    """Whether to store the request's body."""
    keeps_response: bool = field(init=False)
    """Whether to store the response's body."""

    def __post_init__(self) -> None:
        self._set("is_certain", not (self.routes or self.statuses or self.users))
        self._set("writes", self.level != "none")
        self._set("keeps_request", self.level in ("request", "request_response"))
        self._set("keeps_response", self.level == "request_response")

    def _set(self, name: str, value: bool) -> None:
        object.__setattr__(self, name, value)

    def may_match(self, method: str, path: str) -> bool:
        """
        Return whether a request of *method* to *path* can match, before status and user are known.
        """
        by_method = method in self.methods if self.methods else method != WEBSOCKET
        return by_method and (self.paths is None or self.paths.match(path) is not None)

    def matches(self, route: str, status: int, user: str) -> bool:
        """Return whether a request for which `may_match` is true matches, after its end."""
        return (
            (not self.routes or route in self.routes)
            and (not self.statuses or status in self.statuses)
            and (not self.users or user in self.users)
        )

    def prefix_of(self, path: str) -> str:
        """Return the beginning of *path* that the rule's paths match, or an empty text."""
        found = self.paths.match(path) if self.paths else None
        return found[0] if found else ""

    def is_masked(self, name: str) -> bool:
        """Return whether the rule masks the values of a field called *name*."""
        return self.mask is not None and self.mask.is_secret(name)

    def masked(self, value: Any) -> Any:
        """Return *value*, or a plain copy of it in which the rule's fields are masked."""
        return self.mask.clean(value) if self.mask else value
