"""Check the rules of a policy, and turn each into a `Clause`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from audit_handler._record.redaction import Redactor
from audit_handler.errors import ConfigurationError
from audit_handler.policy._clause import Clause
from audit_handler.policy._paths import compile_paths
from audit_handler.policy._route_template import route_template
from audit_handler.policy._rule import LEVELS, Rule

__all__ = ["checked_clause"]

_METHOD = re.compile(r"[A-Z][A-Z-]*")
_STATUS = re.compile(r"([1-5])xx|(\d{3})(?:-(\d{3}))?", re.IGNORECASE)


def checked_clause(number: int, rule: Rule | Mapping[str, Any]) -> Clause:
    """
    Check *rule* and return its clause.

    Args:
        number: Position of the rule in its policy, from 1.
        rule: A `Rule`, or a mapping with the keys of one.

    Raises:
        ConfigurationError: The rule is not valid.
    """
    try:
        return _clause(number, rule if isinstance(rule, Rule) else _from_mapping(rule))
    except ConfigurationError as exc:
        raise ConfigurationError(f"policy rule {number}: {exc}") from None


def _from_mapping(rule: Any) -> Rule:
    if not isinstance(rule, Mapping):
        raise ConfigurationError(f"it is a {type(rule).__name__}; make it a Rule or a mapping")
    known = [field.name for field in dataclasses.fields(Rule)]
    if unknown := [key for key in rule if key not in known]:
        raise ConfigurationError(f"unknown key {unknown[0]!r}; use one of {', '.join(known)}")
    if "level" not in rule:
        raise ConfigurationError(f"it has no level; add one of {', '.join(LEVELS)}")
    return Rule(**rule)


def _clause(number: int, rule: Rule) -> Clause:
    if rule.level not in LEVELS:
        raise ConfigurationError(f"level={rule.level!r} is unknown; use one of {', '.join(LEVELS)}")
    effects = ("action", "resource_type", "mask", "redact_except", "durable")
    if rule.level == "none" and (idle := [name for name in effects if getattr(rule, name)]):
        raise ConfigurationError(
            f"level='none' audits nothing, so {idle[0]} has no effect; leave it out"
        )
    fields = {name: _text(name, getattr(rule, name)) for name in ("action", "resource_type")}
    if not isinstance(rule.durable, bool):
        raise ConfigurationError(f"durable={rule.durable!r} is not a boolean; use true or false")
    paths = _several("paths", rule.paths, partial(_path, "path"))
    routes = _several("routes", rule.routes, partial(_path, "route"))
    mask = _several("mask", rule.mask, partial(_field_name, "mask"))
    kept = _several("redact_except", rule.redact_except, partial(_field_name, "redact_except"))
    statuses = _several("statuses", rule.statuses, _statuses)
    return Clause(
        number=number,
        level=rule.level,
        methods=frozenset(_several("methods", rule.methods, _method)),
        paths=compile_paths(paths) if paths else None,
        routes=frozenset(map(route_template, routes)),
        statuses=frozenset(status for several in statuses for status in several),
        users=frozenset(_several("users", rule.users, _user)),
        fields={name: text for name, text in fields.items() if text},
        mask=Redactor(mask, use_default_keys=False) if mask else None,
        redact_except=kept,
        durable=rule.durable,
    )


def _several(name: str, values: Any, read: Callable[[Any], Any]) -> tuple[Any, ...]:
    if isinstance(values, str | int | range):
        values = (values,)
    elif isinstance(values, Mapping) or not isinstance(values, Iterable):
        raise ConfigurationError(f"{name} is a {type(values).__name__}; make it a list")
    elif not values and values != ():
        # Probably a mistake, because every request would meet the condition.
        raise ConfigurationError(f"{name} is empty; name at least one, or leave {name} out")
    return tuple(map(read, values))


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} has {value!r}, which is not text; put it in quotes")
    return value


def _method(value: Any) -> str:
    method = _text("methods", value).upper()
    if not _METHOD.fullmatch(method):
        raise ConfigurationError(f"methods has {value!r}, which is not a method; use one like POST")
    return method


def _path(option: str, value: Any) -> str:
    path = _text(f"{option}s", value)
    if not path.startswith("/"):
        raise ConfigurationError(f"{option} {path!r} does not start with a slash; add one")
    return path


def _field_name(option: str, value: Any) -> str:
    if not _text(option, value).strip("_-. "):
        raise ConfigurationError(
            f"{option} has {value!r}, which is not a field name; name one, like birthday"
        )
    return str(value)


def _user(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ConfigurationError(
            f"users has {value!r}, which is not an agent_id; use text or a number"
        )
    return str(value)


def _statuses(value: Any) -> range:
    """Return the statuses that *value* stands for."""
    found = None
    if isinstance(value, range):
        found = value
    elif isinstance(value, str | int) and (match := _STATUS.fullmatch(str(value))):
        hundreds, first, last = match.groups()
        if hundreds:
            found = range(int(hundreds) * 100, int(hundreds) * 100 + 100)
        else:
            found = range(int(first), int(last or first) + 1)
    if not found or min(found[0], found[-1]) < 100 or max(found[0], found[-1]) > 599:
        raise ConfigurationError(
            f"status {value!r} is impossible; use 100 to 599, '4xx', '400-403' or a range"
        )
    return found
