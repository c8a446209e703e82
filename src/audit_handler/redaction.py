"""
What must not be stored: values under secret-sounding keys, and whatever JSON cannot say.

`Redactor.clean` makes, in one pass, a plain copy of any object: secrets out, foreign types turned
into text, cycles and endless depth cut. The copy is what gets encoded, so later changes to the
original do not show.

Text is searched too, wherever it stands: JSON, forms, query strings, headers, multipart and XML
bodies, what ``repr`` made of a dict, passwords in URLs. Where a text leaves it open how far a
secret goes, more is taken out rather than less. All of it takes time linear in the text's length.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence, Set, ValuesView
from enum import Enum
from itertools import islice
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

_MAX_TEXT = 1024 * 1024
# Characters of a text with secrets that are kept: as many as the largest max_value_bytes lets
# through.

_SEPARATORS = str.maketrans("", "", "_-. ")
_KNOWN_KEYS_LIMIT = 4096
_KNOWN_KEY_LENGTH = 128
# Key names come from code and schemas, so few are distinct, and short; the limits are for hostile
# bodies with random keys.

_PLAIN = frozenset({int, bool, type(None)})

# The rest of a key, behind a name that was found, and what leads from there to the value. Percent
# signs are those of url-encoded brackets and quotes, but not of "=" and ":", which end the key.
_KEY_REST = re.compile(
    r"""
    [\w.\-\[\]]* (?: %(?!(?:25)*3[ad]) [\w.\-\[\]]* )*
    (?P<to_value>
        (?P<quote> \\*["'] )?
        [^\S\r\n]*
        (?: [=:]+>? | %(?:25)*3[ad] | (?(quote) ,(?=\s*[bu]?\\*["']) | (?!) ) )
        (?(quote) \s* | [^\S\r\n]* )
    )?
    """,
    re.IGNORECASE | re.VERBOSE,
)
# The values: in quotes (that may be escaped themselves, in text within text), up to the end of the
# line, a number or a word of JSON, and everything up to the next pair of a form or of a message.
_QUOTED = re.compile(
    r"""[bur]{0,2}(?<!\\)(\\*)(["']).*?(?:(?<!\\)\1\2|\Z)""", re.IGNORECASE | re.DOTALL
)
_LINE = re.compile(r"[^\r\n]*")
_LITERAL = re.compile(r"[^\s,}\])]*")
_WORD = re.compile(r"(?:(?:Bearer|Basic|Digest|Token)[ ]+)?[^\s&]*", re.IGNORECASE)
_OPENING = re.compile(r"[\w.]*[\[({]")
_BRACKET_OR_QUOTED = re.compile(r"[\[({]|[\])}]|" + _QUOTED.pattern, re.IGNORECASE | re.DOTALL)

_USERINFO = re.compile(r"""(?<=://)([^\s/:@"'<>]*:)[^\s/"'<>]+(?=@)""")
_ELEMENT = re.compile(r"(<(?:\w+:)?([\w.\-]+)(?:\s[^<>]*)?>)(?:[^<]+|<!\[CDATA\[[^<]*\]\]>)(?=</)")
_FORM_PART = re.compile(
    r"""(\bname="([^"\r\n]*)"[^\r\n]{0,200}(?:\r?\n[^\r\n]+){0,8}\r?\n\r?\n)(.*?)(?=\r?\n--|\Z)""",
    re.DOTALL,
)


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
        joined = {part.translate(_SEPARATORS) or part for part in parts}
        # "accesstoken" adds nothing to "token".
        self._parts = tuple(
            sorted(p for p in joined if not any(len(o) > 3 and o in p for o in joined - {p}))
        )
        self._name = re.compile(_any_of(self._parts), re.IGNORECASE)
        self._verdicts: dict[str, bool] = {}
        self._max_nodes = max_nodes

    def is_secret(self, key: str) -> bool:
        """Whether the value of *key* is to be redacted."""
        try:
            return self._verdicts[key]
        except KeyError:
            verdict = self._name.search(key) is not None
            if len(self._verdicts) < _KNOWN_KEYS_LIMIT and len(key) <= _KNOWN_KEY_LENGTH:
                self._verdicts[key] = verdict
            return verdict

    def clean(self, value: Any) -> Any:
        """
        Return a plain copy of *value*: dicts with text keys, lists, text, numbers, booleans and
        None.

        Never raises: what cannot be read is replaced by a text that says so, in angle brackets.
        """
        kind = type(value)
        if kind is str:
            return self.clean_text(value)
        if kind in _PLAIN:
            return value
        return _Walk(self, self._verdicts, self._max_nodes).visit(value, 0)

    def clean_text(self, text: str) -> str:
        """
        Return *text* with the secrets in it redacted: as JSON where it is JSON, else by patterns.

        Of a text that holds secrets and is no JSON, 1,048,576 characters are kept.
        """
        # The cheap look first: without one of these there is no pair, of whatever form.
        if not (
            "=" in text
            or ":" in text
            or "<" in text
            or "%3" in text
            or '",' in text
            or "'," in text
        ):
            return text
        if "://" in text and "@" in text:
            text = _USERINFO.sub(rf"\g<1>{REDACTED}", text)
        joined = text.lower().translate(_SEPARATORS)
        for part in self._parts:
            if part in joined:
                return self._clean_suspect(text)
        return text

    def _clean_suspect(self, text: str) -> str:
        """Clean a text in which a secret-sounding name stands somewhere."""
        if text.lstrip()[:1] in ("{", "["):
            try:
                decoded = msgspec.json.decode(text)
                return msgspec.json.encode(self.clean(decoded)).decode()
            except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
                pass  # no JSON, or not whole
        if len(text) > _MAX_TEXT:
            text = f"{text[:_MAX_TEXT]}<cut: {len(text)} characters>"
        if "</" in text:
            text = _ELEMENT.sub(self._without_content, text)
        if 'name="' in text:
            text = _FORM_PART.sub(self._without_content, text)
        return self._clean_pairs(text)

    def _without_content(self, found: re.Match[str]) -> str:
        return f"{found[1]}{REDACTED}" if self.is_secret(found[2]) else found[0]

    def _clean_pairs(self, text: str) -> str:
        """Redact the values of ``key=value``, ``key: value``, ``"key": "value"`` and the like."""
        pieces: list[str] = []
        done = position = 0
        while name := self._name.search(text, position):
            key: Any = _KEY_REST.match(text, name.end())  # Any: it matches the empty text too
            position = key.end()
            if key["to_value"] is not None:
                end = _value_end(text, name[0], key)
                if end > position:
                    pieces += (text[done:position], REDACTED)
                    done = position = end
        return "".join((*pieces, text[done:]))


def _any_of(parts: Iterable[str]) -> str:
    """
    Return a pattern for *parts* of key names, with separators between any two letters.

    Short ones are taken literally, and never across the words of a name: "ssn" is not in
    "businessName".
    """
    patterns = [
        rf"(?-i:{'|'.join(re.escape(form) for form in (part, part.capitalize(), part.upper()))})"
        if len(part) <= 3
        else r"[_\-. ]{0,3}".join(map(re.escape, part))
        for part in parts
    ]
    # The first letters once more, in front: most places of a text are ruled out by one look.
    initials = "".join(sorted({re.escape(part[0]) for part in parts}))
    return rf"(?=[{initials}])(?:{'|'.join(patterns)})" if patterns else r"(?!)"


def _value_end(text: str, name: str, key: re.Match[str]) -> int:
    """Return where the value ends that begins behind *key*; *name* is its secret-sounding part."""
    start = key.end()
    # 1. Quoted, whatever the key looks like.
    if found := _QUOTED.match(text, start):
        return found.end()
    # 2. A list, a dict, or what repr made of an object: to the closing bracket.
    if text.startswith(("[", "(", "{"), start) or (key["quote"] and _OPENING.match(text, start)):
        depth = 0
        for found in _BRACKET_OR_QUOTED.finditer(text, start):
            depth += (found[0] in "[({") - (found[0] in "])}")
            if depth <= 0:
                return found.end()
        return len(text)
    found = None
    # 3. A number, true or null in JSON.
    if key["quote"]:
        found = _LITERAL.match(text, start)
    # 4. Headers of many parts, with separators of their own.
    elif ":" in key["to_value"] and name.lower() in ("authorization", "cookie"):
        found = _LINE.match(text, start)
    if found:
        return found.end()
    # 5. A form or a message: up to the next pair, but for the punctuation around it.
    word = _WORD.match(text, start)[0]  # type: ignore[index]  # it matches the empty text too
    return start + len(word.rstrip(",;\"'<>)]}") or word)


class _Walk:
    """One pass over one object."""

    __slots__ = ("_clean_text", "_is_secret", "_nodes_left", "_parents", "_verdicts")

    def __init__(self, redactor: Redactor, verdicts: Mapping[str, bool], max_nodes: int) -> None:
        self._is_secret = redactor.is_secret
        self._clean_text = redactor.clean_text
        self._verdicts = verdicts
        self._nodes_left = max_nodes
        self._parents: set[int] = set()

    def visit(self, value: Any, depth: int) -> Any:
        kind = type(value)
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

    # The two loops look at keys and plain values themselves: nearly all are, and calls cost more
    # than all the rest.

    def _mapping(self, items: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        cleaned: dict[str, Any] = {}
        verdicts, clean_text = self._verdicts, self._clean_text
        # Copied in one step, so that another thread may go on changing the original.
        pairs = list(islice(items, self._nodes_left))
        self._nodes_left -= len(pairs)
        for key, value in pairs:
            name = key if type(key) is str else _text(key)
            is_secret = verdicts.get(name)
            kind = type(value)
            if is_secret or (is_secret is None and self._is_secret(name)):
                cleaned[name] = REDACTED
            elif kind is str:
                # Without a sign in it there is no pair.
                cleaned[name] = value if value.isalnum() else clean_text(value)
            else:
                cleaned[name] = value if kind in _PLAIN else self.visit(value, depth + 1)
        if not self._nodes_left:
            cleaned["<cut>"] = "too many values"
        # {"name": "Authorization", "value": "..."}: how HAR files and many APIs list headers.
        if "value" in cleaned:
            listed = cleaned.get("name") or cleaned.get("key")
            if type(listed) is str and self._is_secret(listed):
                cleaned["value"] = REDACTED
        return cleaned

    def _sequence(self, values: Iterable[Any], depth: int) -> list[Any]:
        cleaned: list[Any] = []
        values = list(islice(values, self._nodes_left))
        self._nodes_left -= len(values)
        for value in values:
            kind = type(value)
            # [(b"authorization", b"..."), ...]: headers and form fields come as pairs as often as
            # in dicts.
            if (
                (kind is tuple or kind is list)
                and len(value) == 2
                and isinstance(value[0], str | bytes)
                and self._is_secret(_text(value[0]))
            ):
                cleaned.append([_text(value[0]), REDACTED])
            elif kind is str:
                cleaned.append(value if value.isalnum() else self._clean_text(value))
            else:
                cleaned.append(value if kind in _PLAIN else self.visit(value, depth + 1))
        if not self._nodes_left:
            cleaned.append("<cut: too many values>")
        return cleaned

    def _foreign(self, value: Any, depth: int) -> Any:
        if type(value) in _PLAIN:
            return value
        # 1. Subclasses of plain types: their own methods may be overridden, so those of the plain
        # type are used.
        if isinstance(value, Enum):
            return self.visit(value.value, depth + 1)
        if isinstance(value, str | bytes | bytearray | memoryview):
            return self._clean_text(_text(value))
        if isinstance(value, int):
            return int.__int__(value)
        if isinstance(value, float):
            return self.visit(float.__float__(value), depth + 1)
        if isinstance(value, dict):
            return self._mapping(dict.items(value), depth)
        # 2. Objects with named fields. A class has the methods too, but no fields.
        if not isinstance(value, type):
            if hasattr(value, "_asdict"):
                return self._mapping(value._asdict().items(), depth)
            if hasattr(value, "model_dump"):
                return self.visit(value.model_dump(), depth + 1)
            names = _field_names(value)
            if names:
                return self._mapping([(name, getattr(value, name)) for name in names], depth)
        # 3. Containers. Iterators are not: reading one would take its items from the application.
        if isinstance(value, Mapping):
            return self._mapping(value.items(), depth)
        if isinstance(value, Sequence | Set | ValuesView):
            return self._sequence(value, depth)
        # 4. Everything else (dates, UUIDs, decimals, paths, models) as its text.
        return self._clean_text(str.__str__(str(value)))


def _field_names(value: Any) -> Sequence[str]:
    """Return the names of the fields of a dataclass, a msgspec struct or an attrs class."""
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    return getattr(type(value), "__struct_fields__", None) or [
        attribute.name for attribute in getattr(type(value), "__attrs_attrs__", ())
    ]


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
