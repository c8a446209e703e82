"""
Which requests are audited, and how much of them: an ordered list of rules, the first that matches
decides.

    policy = [
        Rule(level="none", paths=["/api/health"]),
        Rule(level="metadata", paths=["/api/login"], action="LOGIN", durable=True),
        Rule(level="request", methods=["POST", "PUT"], paths=["/api/people"], mask=["birthday"]),
        Rule(level="metadata", statuses=["4xx", "5xx"]),
    ]

A request that no rule matches is not audited. A rule may also be a mapping with the same names, as
it comes from JSON or YAML. Pure: no framework is known here, and nothing is logged.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from audit_handler._record.redaction import Redactor
from audit_handler._templates import template
from audit_handler.errors import ConfigurationError

__all__ = ["WEBSOCKET", "Clause", "Policy", "Rule"]

LEVELS = ("none", "metadata", "request", "request_response")

WEBSOCKET = "WEBSOCKET"
"""Stands for a method where a WebSocket is opened; only a rule that names it matches one."""

_METHOD = re.compile(r"[A-Z][A-Z-]*")
_STATUS = re.compile(r"([1-5])xx|(\d{3})(?:-(\d{3}))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """
    One rule of a policy. It matches a request that meets all of its conditions; one that is left
    out is met by every request. Where a condition or an effect takes several values, a single one
    needs no list.

    Values are checked when the policy is made of its rules, so that an error can name the rule's
    number.
    """

    level: str
    """``none``, ``metadata`` (no bodies), ``request`` (its body too), or ``request_response``."""
    methods: Iterable[str] | str = ()
    """``POST``. ``WEBSOCKET`` stands for the opening of one, and must be named to be matched."""
    paths: Iterable[str] | str = ()
    """
    Beginnings of paths, in whole segments: ``/api`` is not ``/apis``. ``*`` stands for one segment:
    ``/api/orders/*/approve``.
    """
    routes: Iterable[str] | str = ()
    """
    Templates of routes, as the application's router has them: ``/api/orders/{order_id}``, or
    ``/api/orders/<order_id>``, which is the same.
    """
    statuses: Iterable[int | str | range] | int | str = ()
    """Statuses of responses: ``404``, ``"4xx"``, ``"400-403"``, ``range(400, 404)``."""
    users: Iterable[str | int] | str | int = ()
    """Users, by their *agent_id*."""
    action: str = ""
    """The audit's *action*, instead of the one that the method tells."""
    resource_type: str = ""
    """The audit's *resource_type*, instead of the one that the path tells."""
    mask: Iterable[str] | str = ()
    """
    Parts of field names whose values are masked in bodies, query, path, *old_value* and
    *new_value* of the audit, besides the handler's *redact_keys*.
    """
    durable: bool = False
    """
    Answer 503, before the application sees the request, unless the trail takes rows now, whatever
    the handler's *on_full* says. Holds for each request that may still come to match: its end is
    not known yet.
    """


class Policy:
    """
    An ordered list of rules. Never changes, so one serves all threads.

    Args:
        rules: Each a `Rule`, or a mapping with the names of one.

    Raises:
        ConfigurationError: A rule cannot work; the text has its number (from 1), value and remedy.
    """

    def __init__(self, rules: Iterable[Rule | Mapping[str, Any]]) -> None:
        if isinstance(rules, str | Mapping) or not isinstance(rules, Iterable):
            raise ConfigurationError(
                f"policy is a {type(rules).__name__}; make it a list of rules, in their order"
            )
        self._clauses = tuple(_clause(number, rule) for number, rule in enumerate(rules, 1))

    def candidates(self, method: str, path: str) -> tuple[Clause, ...]:
        """
        Return the rules of which one decides in the end about a request of *method* to *path*.

        In their order, up to the first that is certain to match. Empty when none can.
        """
        found: list[Clause] = []
        for clause in self._clauses:
            if clause.may_match(method, path):
                found.append(clause)
                if clause.is_certain:
                    break
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clause:
    """A rule that was checked, in the form in which it can be asked."""

    number: int
    level: str
    methods: frozenset[str]
    paths: re.Pattern[str] | None
    routes: frozenset[str]
    statuses: frozenset[int]
    users: frozenset[str]
    action: str
    resource_type: str
    mask: Redactor | None
    durable: bool

    @property
    def is_certain(self) -> bool:
        """Whether method and path alone decide if it matches."""
        return not (self.routes or self.statuses or self.users)

    @property
    def writes(self) -> bool:
        """Whether what it matches is audited."""
        return self.level != "none"

    @property
    def keeps_request(self) -> bool:
        """Whether the request's body is kept."""
        return self.level in ("request", "request_response")

    @property
    def keeps_response(self) -> bool:
        """Whether the response's body is kept."""
        return self.level == "request_response"

    def may_match(self, method: str, path: str) -> bool:
        """Whether a request that begins like this can match."""
        by_method = method in self.methods if self.methods else method != WEBSOCKET
        return by_method and (self.paths is None or self.paths.match(path) is not None)

    def matches(self, route: str, status: int, user: str) -> bool:
        """Whether a request that may match does, now that it ended like this."""
        return (
            (not self.routes or route in self.routes)
            and (not self.statuses or status in self.statuses)
            and (not self.users or user in self.users)
        )

    def prefix_of(self, path: str) -> str:
        """Return the beginning of *path* for which the rule matches it."""
        found = self.paths.match(path) if self.paths else None
        return found[0] if found else ""

    def is_masked(self, name: str) -> bool:
        """Whether the rule masks the values of a field of this name."""
        return self.mask is not None and self.mask.is_secret(name)

    def masked(self, value: Any) -> Any:
        """Return *value*, or a plain copy of it without what the rule masks."""
        return self.mask.clean(value) if self.mask else value


# From what was written to what can be asked


def _clause(number: int, rule: Rule | Mapping[str, Any]) -> Clause:
    """Check *rule*, the *number*-th of its policy."""
    try:
        return _checked(number, rule if isinstance(rule, Rule) else _from_mapping(rule))
    except ConfigurationError as exc:
        raise ConfigurationError(f"policy rule {number}: {exc}") from None


def _from_mapping(rule: Any) -> Rule:
    if not isinstance(rule, Mapping):
        raise ConfigurationError(f"it is a {type(rule).__name__}; make it a Rule or a mapping")
    known = [field.name for field in dataclasses.fields(Rule)]
    if unknown := [key for key in rule if key not in known]:
        raise ConfigurationError(f"unknown key {unknown[0]!r}; the known are {', '.join(known)}")
    if "level" not in rule:
        raise ConfigurationError(f"it has no level; add one of {', '.join(LEVELS)}")
    return Rule(**rule)


def _checked(number: int, rule: Rule) -> Clause:
    if rule.level not in LEVELS:
        raise ConfigurationError(f"level={rule.level!r} is unknown; use one of {', '.join(LEVELS)}")
    effects = ("action", "resource_type", "mask", "durable")
    if rule.level == "none" and (idle := [name for name in effects if getattr(rule, name)]):
        raise ConfigurationError(
            f"level='none' audits nothing, so {idle[0]} has no effect; leave it out"
        )
    for name in ("action", "resource_type"):
        _text(name, getattr(rule, name))
    if not isinstance(rule.durable, bool):
        raise ConfigurationError(f"durable={rule.durable!r} is neither true nor false")
    paths = _several("paths", rule.paths, partial(_path, "path"))
    mask = _several("mask", rule.mask, _field_name)
    statuses = _several("statuses", rule.statuses, _statuses)
    return Clause(
        number=number,
        level=rule.level,
        methods=frozenset(_several("methods", rule.methods, _method)),
        paths=_starts_with(paths) if paths else None,
        routes=frozenset(map(template, _several("routes", rule.routes, partial(_path, "route")))),
        statuses=frozenset(status for several in statuses for status in several),
        users=frozenset(_several("users", rule.users, _user)),
        action=rule.action,
        resource_type=rule.resource_type,
        mask=Redactor(mask, use_default_keys=False) if mask else None,
        durable=rule.durable,
    )


def _several(name: str, values: Any, read: Callable[[Any], Any]) -> tuple[Any, ...]:
    if isinstance(values, str | int | range):
        values = (values,)
    elif isinstance(values, Mapping) or not isinstance(values, Iterable):
        raise ConfigurationError(f"{name} is a {type(values).__name__}; make it a list")
    elif not values and values != ():
        # Left out by mistake, perhaps, and met by every request.
        raise ConfigurationError(f"{name} is empty; name some, or leave {name} out")
    return tuple(map(read, values))


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} has {value!r}, which is no text; put it in quotes")
    return value


def _method(value: Any) -> str:
    method = _text("methods", value).upper()
    if not _METHOD.fullmatch(method):
        raise ConfigurationError(f"methods has {value!r}, which is no method; use one like POST")
    return method


def _path(what: str, value: Any) -> str:
    path = _text(f"{what}s", value)
    if not path.startswith("/"):
        raise ConfigurationError(f"{what} {path!r} does not start with a slash; add one")
    return path


def _field_name(value: Any) -> str:
    if not _text("mask", value).strip("_-. "):
        raise ConfigurationError(f"mask has {value!r}, which is no field name")
    return str(value)


def _user(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ConfigurationError(f"users has {value!r}, which is no agent_id; use text or a number")
    return str(value)


def _statuses(value: Any) -> range:
    """Return the statuses that *value* stands for."""
    found = None
    if isinstance(value, range):
        found = value
    elif isinstance(value, str | int) and (said := _STATUS.fullmatch(str(value))):
        hundreds, first, last = said.groups()
        if hundreds:
            found = range(int(hundreds) * 100, int(hundreds) * 100 + 100)
        else:
            found = range(int(first), int(last or first) + 1)
    if not found or min(found[0], found[-1]) < 100 or max(found[0], found[-1]) > 599:
        raise ConfigurationError(
            f"status {value!r} is impossible; use 100 to 599, '4xx', '400-403' or a range"
        )
    return found


def _starts_with(paths: Iterable[str]) -> re.Pattern[str]:
    names = (re.escape(path.rstrip("/")).replace(r"\*", "[^/]*") for path in paths)
    return re.compile(rf"(?:{'|'.join(names)})(?:/|\Z)")
