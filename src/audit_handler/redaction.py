"""
What must not be stored: values under secret-sounding keys, and whatever JSON cannot say.

`Redactor.clean` makes, in one pass, a plain copy of any object: secrets out, foreign types turned
into text, cycles and endless depth cut. The copy is what gets encoded, so later changes to the
original do not show.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Set
from enum import Enum
from typing import Any

import msgspec

__all__ = ["DEFAULT_KEYS", "REDACTED", "Redactor"]

REDACTED = "***REDACTED***"

DEFAULT_KEYS: tuple[str, ...] = (
    "password",
    "token",
    "secret",
    "apikey",
    "api_key",
    "creditcard",
    "ssn",
    "privatekey",
    "accesstoken",
    "refreshtoken",
    "authorization",
    "cookie",
    "set-cookie",
)
"""A key that contains one of these, in any case, has its value redacted."""

_MAX_DEPTH = 64
# Deeper than any body that people write by hand or ORMs produce; the interpreter's own limit is
# 1,000 frames.

_SEPARATORS = str.maketrans("", "", "_-. ")
_KNOWN_KEYS_LIMIT = 4096
# Key names come from code and schemas, so few are distinct; the limit is for hostile bodies with
# random keys.


class Redactor:
    """
    Cleans values. Stateless but for a cache of key names, so one instance serves all threads.

    Args:
        keys: Parts of key names to redact besides the default ones.
        use_default_keys: False leaves only *keys*.
        max_nodes: Values visited in one object before the rest is cut; bounds the time that a
            hostile object takes.
    """

    def __init__(
        self, keys: Iterable[str] = (), *, use_default_keys: bool = True, max_nodes: int = 50_000
    ) -> None:
        parts = {key.lower() for key in (*(DEFAULT_KEYS if use_default_keys else ()), *keys)}
        self._parts = tuple(sorted(parts))
        # Separators are ignored in long names (api-key, credit_card); in short ones that would hit
        # innocent words such as "class_name" for "ssn".
        self._joined_parts = tuple(sorted({p.translate(_SEPARATORS) for p in parts if len(p) > 3}))
        self._verdicts: dict[str, bool] = {}
        self._max_nodes = max_nodes
        names = "|".join(_with_separators(part) for part in self._parts) or r"(?!)"
        self._hint = re.compile(names, re.IGNORECASE)
        # key=value, key: value and "key": "value" in text that is no JSON: forms, query strings,
        # messages, cut bodies. The values, in order: quoted; quoted inside a quoted text; in single
        # quotes; up to a separator.
        self._pair = re.compile(
            rf"""([\w.\-\[\]]*(?:{names})[\w.\-\[\]]*\\?["']?\s*[=:]\s*(?:(?:Bearer|Basic|Digest)\s+)?)"""
            r"""("(?:[^"\\]|\\.)*(?:"|$)|\\"(?:(?!\\").)*(?:\\"|$)|'[^']*(?:'|$)|[^\s&;,"'<>}\])]+)""",
            re.IGNORECASE | re.DOTALL,
        )
        # A cookie header holds many pairs under one name, so it goes to the end of its line.
        self._cookie_line = re.compile(
            r"((?:set-)?cookie\s*:\s*)[^\r\n\"']+" if "cookie" in parts else r"(?!)()",
            re.IGNORECASE,
        )

    def is_secret(self, key: str) -> bool:
        """Whether the value of *key* is to be redacted."""
        try:
            return self._verdicts[key]
        except KeyError:
            lower = key.lower()
            joined = lower.translate(_SEPARATORS)
            verdict = any(p in lower for p in self._parts) or any(
                p in joined for p in self._joined_parts
            )
            if len(self._verdicts) < _KNOWN_KEYS_LIMIT:
                self._verdicts[key] = verdict
            return verdict

    def clean(self, value: Any) -> Any:
        """
        Return a plain copy of *value*: dicts with text keys, lists, text, numbers, booleans and
        None.

        Never raises: what cannot be read is replaced by a text that says so, in angle brackets.
        """
        kind = type(value)
        if kind is str or kind is int or kind is bool or value is None:
            return value
        return _Walk(self, self._max_nodes).visit(value, 0)

    def clean_text(self, text: str) -> str:
        """
        Return *text* with the secrets in it redacted: as JSON where it is JSON, else by
        ``key=value`` patterns.
        """
        # The cheap look first: without one of these there is neither JSON nor a pair.
        if ("=" not in text and ":" not in text) or not self._hint.search(text):
            return text
        if text.lstrip()[:1] in ("{", "["):
            try:
                decoded = msgspec.json.decode(text)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                pass
            else:
                return msgspec.json.encode(self.clean(decoded)).decode()
        return self._pair.sub(rf"\g<1>{REDACTED}", self._cookie_line.sub(rf"\g<1>{REDACTED}", text))


def _with_separators(part: str) -> str:
    """
    Return a pattern for *part* that allows one separator between any two letters of a long name.
    """
    if len(part) <= 3:
        return re.escape(part)
    return r"[_\-. ]?".join(map(re.escape, part.translate(_SEPARATORS)))


class _Walk:
    """One pass over one object."""

    def __init__(self, redactor: Redactor, max_nodes: int) -> None:
        self._is_secret = redactor.is_secret
        self._nodes_left = max_nodes
        self._parents: set[int] = set()

    def visit(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str or kind is int or kind is bool or value is None:
            return value
        if kind is float:
            return value if math.isfinite(value) else str(value)
        if depth >= _MAX_DEPTH:
            return f"<cut: deeper than {_MAX_DEPTH}>"
        identity = id(value)
        if identity in self._parents:
            return "<cut: contains itself>"
        self._parents.add(identity)
        try:
            if kind is dict:
                return self._mapping(value.items(), depth)
            if kind is list or kind is tuple:
                return self._sequence(value, depth)
            return self._foreign(value, depth)
        except Exception as exc:  # noqa: BLE001  # foreign code runs here: any property or __str__ may raise
            return f"<unreadable {kind.__name__}: {type(exc).__name__}>"
        finally:
            self._parents.discard(identity)

    def _mapping(self, items: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        cleaned: dict[str, Any] = {}
        for key, value in items:
            self._nodes_left -= 1
            if self._nodes_left < 0:
                cleaned["<cut>"] = "too many values"
                break
            name = key if type(key) is str else _text(key)
            cleaned[name] = REDACTED if self._is_secret(name) else self.visit(value, depth + 1)
        return cleaned

    def _sequence(self, values: Iterable[Any], depth: int) -> list[Any]:
        cleaned: list[Any] = []
        for value in values:
            self._nodes_left -= 1
            if self._nodes_left < 0:
                cleaned.append("<cut: too many values>")
                break
            # [(b"authorization", b"..."), ...]: headers and form fields come as pairs as often as
            # in dicts.
            if (
                type(value) is tuple
                and len(value) == 2
                and isinstance(value[0], str | bytes)
                and self._is_secret(_text(value[0]))
            ):
                cleaned.append([_text(value[0]), REDACTED])
            else:
                cleaned.append(self.visit(value, depth + 1))
        return cleaned

    def _foreign(self, value: Any, depth: int) -> Any:
        # 1. Subclasses of plain types: their own methods may be overridden, so those of the plain
        # type are used.
        if isinstance(value, Enum):
            return self.visit(value.value, depth + 1)
        if isinstance(value, str | bytes | bytearray | memoryview):
            return _text(value)
        if isinstance(value, int):
            return int.__int__(value)
        if isinstance(value, float):
            return self.visit(float.__float__(value), depth + 1)
        if isinstance(value, dict):
            return self._mapping(dict.items(value), depth)
        # 2. Objects with named fields.
        if hasattr(value, "_asdict"):
            return self._mapping(value._asdict().items(), depth)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names: Iterable[str] = [field.name for field in dataclasses.fields(value)]
            return self._mapping([(name, getattr(value, name)) for name in names], depth)
        if hasattr(value, "model_dump"):
            return self.visit(value.model_dump(), depth + 1)
        names = getattr(type(value), "__struct_fields__", None) or [
            attribute.name for attribute in getattr(type(value), "__attrs_attrs__", ())
        ]
        if names:
            return self._mapping([(name, getattr(value, name)) for name in names], depth)
        # 3. Containers. Iterators are not: reading one would take its items from the application.
        if isinstance(value, Mapping):
            return self._mapping(value.items(), depth)
        if isinstance(value, list | tuple | Set):
            return self._sequence(value, depth)
        # 4. Everything else (dates, UUIDs, decimals, paths, models) as its text.
        return str.__str__(str(value))


def _text(value: Any) -> str:
    """Return *value* as exact str; bytes that are no UTF-8 keep their values as ``\\xNN``."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    try:
        return str.__str__(str(value))
    except Exception as exc:  # noqa: BLE001  # a foreign __str__
        return f"<unreadable {type(value).__name__}: {type(exc).__name__}>"
