"""
The reason of a failure, from the body of its response.

Frameworks describe a failure in few shapes, which are read here:

1. A text under ``detail``, ``error`` or ``message``: most of them. ``title`` if the body is a
   problem (RFC 9457).
2. A list of faults, each with a message and mostly a place: FastAPI and pydantic
   (``{"loc": [...], "msg": ...}``), RFC 9457, JSON:API, GraphQL, ajv, express-validator, Spring.
3. Messages by field: Django REST framework, Rails, Laravel, marshmallow, ASP.NET.
4. A plain text of one line: Starlette.

A fault's ``input`` or ``value`` is what the client sent, and never shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from itertools import islice
from typing import Any, NamedTuple

from audit_handler._http.redactors import Redactors
from audit_handler._record.redaction import REDACTED

__all__ = ["reason_in"]

# The first that is more than the name of the status wins.
_TEXTS = ("detail", "error", "message", "error_message", "errorMessage", "msg", "Message")
# The first with faults in it wins.
_LISTS = (
    *("detail", "errors", "error", "message", "messages", "validation_error", "extra", "details"),
    *("violations", "invalid-params", "invalid_params"),
)
# Of these, an object has messages by field, which may be texts.
_MAPS = frozenset({"errors", "messages", "validation_error"})
# In one fault.
_MESSAGES = ("msg", "message", "detail", "title", "reason", "description", "defaultMessage")
_PLACES = (
    *("loc", "pointer", "source", "field", "param", "parameter", "property", "propertyPath"),
    *("propertyName", "attribute", "path", "instancePath", "key", "name"),
)
# Texts that the client sent.
_INPUTS = frozenset({"input", "value", "rejectedvalue", "received", "actual", "data"})
# Names that frameworks give to the messages of no field in particular.
_NO_FIELD = frozenset({"non_field_errors", "nonfielderrors", "__all__", "_schema", "__root__"})

# A form has few wrong fields; a line of a log should not be longer.
_MAX_FAULTS = 8
_MAX_CHARACTERS = 1000
_MAX_MESSAGE, _MAX_PLACE = 300, 100
# Of lists and objects in each other: items of orders of customers.
_MAX_DEPTH = 8


class _Fault(NamedTuple):
    place: tuple[str, ...]
    message: str
    is_value: bool
    """Whether the message is the value of a key, which is a part of the place."""


def reason_in(body: Any, status: int, redactors: Redactors) -> str | None:
    """Return the reason of a failure that *body* tells, in one line without secrets; or None."""
    return _Reader(status, redactors).reason(body) or None


class _Reader:
    """Reads the body of one response with *status*."""

    def __init__(self, status: int, redactors: Redactors) -> None:
        self._is_invalid = status in (400, 422)
        self._phrase = _phrase(status)
        self._clean = redactors.clean_text
        self._is_secret = redactors.is_secret
        self._messages = [name for name in _MESSAGES if not redactors.is_secret(name)]

    def reason(self, body: Any) -> str:
        if type(body) is str:
            text = body.strip()
            is_line = text.isprintable() and not text.startswith("<") and len(text) <= _MAX_MESSAGE
            return self._clean(text) if is_line else ""
        if type(body) is list:
            return self._sentence(_few(self._faults(body, (), 0)))
        if type(body) is not dict:
            return ""
        head = self._head(body)
        faults = self._faults_in(body)
        if not faults or (head and faults[0].message in head):
            # Laravel's message repeats the first fault.
            return head
        if head.lower() == self._phrase:
            head = ""
        text = self._sentence(faults)
        return f"{head.rstrip(' .:')}: {text}" if head else text

    def _head(self, body: Mapping[str, Any]) -> str:
        """Return the text that describes the whole failure."""
        # RFC 9457 requires neither, but a title alone may be that of a book.
        names = (*_TEXTS, "title") if "status" in body or "type" in body else _TEXTS
        # Each becomes a text column, in which the handler does not know the key.
        texts = [
            self._clean(str(body[name]))
            for name in names
            if type(body.get(name)) in (str, int)
            and body[name] not in ("", REDACTED)
            and not self._is_secret(name)
        ]
        description = body.get("error_description")
        if texts and type(description) is str and not self._is_secret("error_description"):
            # OAuth 2: {"error": "invalid_grant", "error_description": "..."}.
            return self._clean(f"{texts[0]}: {_shortened(description, _MAX_MESSAGE)}")
        own = (text for text in texts if text.lower() != self._phrase and not text.isdecimal())
        return next(own, texts[0] if texts else "")

    def _faults_in(self, body: dict[str, Any]) -> list[_Fault]:
        """Return the faults that *body* lists, at most one more than are shown."""
        for name in _LISTS:
            value: Any = body.get(name)
            if type(value) not in (list, dict) or self._is_secret(name):
                continue
            if name in _MAPS and self._is_map(value):
                found = _few(self._by_field(value, (), 0, is_map=True))
            else:
                found = _few(self._faults(value, (), 0))
            if found:
                return found
        if self._is_invalid and _has_lists(body, 0):
            return _few(self._by_field(body, (), 0))
        return []

    def _is_map(self, value: Any) -> bool:
        return type(value) is dict and not any(
            type(value.get(name)) is str for name in ("msg", "message", "detail")
        )

    def _faults(
        self, value: Any, place: tuple[str, ...], depth: int, *, is_map: bool = False
    ) -> Iterator[_Fault]:
        """Yield the faults in *value*: a text, a list of faults, a fault, or faults by field."""
        if depth > _MAX_DEPTH:
            return
        if type(value) is str and value.strip():
            yield _Fault(place, value, bool(place))
        elif type(value) is list:
            for at, item in enumerate(value):
                is_fault = type(item) is str or (type(item) is dict and self._message(item))
                inner = place if is_fault else (*place, str(at))
                yield from self._faults(item, inner, depth + 1, is_map=is_map)
        elif type(value) is dict:
            if message := self._message(value):
                yield _Fault((*place, *_place(value)), message, bool(place))
            elif is_map or _has_lists(value, depth):
                yield from self._by_field(value, place, depth, is_map=is_map)

    def _by_field(
        self, value: dict[str, Any], place: tuple[str, ...], depth: int, *, is_map: bool = False
    ) -> Iterator[_Fault]:
        for name, item in value.items():
            if type(item) is not str or name.lower() not in _INPUTS:
                inner = place if name.lower() in _NO_FIELD else (*place, name)
                yield from self._faults(item, inner, depth + 1, is_map=is_map)

    def _message(self, fault: Mapping[str, Any]) -> str:
        return next((fault[name] for name in self._messages if type(fault.get(name)) is str), "")

    def _sentence(self, faults: list[_Fault]) -> str:
        """Return *faults* in one line: ``body.email: not an address; query.page: not a number``."""
        parts = list(map(self._shown, faults[:_MAX_FAULTS]))
        if len(faults) > _MAX_FAULTS:
            parts.append("...")
        return _shortened("; ".join(parts), _MAX_CHARACTERS)

    def _shown(self, fault: _Fault) -> str:
        place, message = fault.place, fault.message
        secrets = [at for at, part in enumerate(place) if self._is_secret(part)]
        if secrets and fault.is_value:
            # {"password": ["..."]}: a secret key holds the message, and all that is behind it.
            place, message = place[: secrets[0] + 1], REDACTED
        name = self._clean(_shortened(".".join(place), _MAX_PLACE))
        text = self._clean(_shortened(message, _MAX_MESSAGE).rstrip(".;"))
        if not name:
            return text
        shown = f"{name}: {text}"
        # "password: too short" looks like a password that is "too short".
        return f"{text} ({name})" if secrets or self._clean(shown) != shown else shown


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.lower()
    except ValueError:
        return ""


def _few(faults: Iterator[_Fault]) -> list[_Fault]:
    return list(islice(faults, _MAX_FAULTS + 1))


def _has_lists(value: Any, depth: int) -> bool:
    """Return whether *value* has lists of messages by field, and nothing else."""
    if depth > _MAX_DEPTH or type(value) is not dict or not value:
        return False
    for item in value.values():
        if type(item) is list:
            # An item of a list that has no fault is empty.
            if not item or not all(
                type(each) is str or each == {} or _has_lists(each, depth + 1) for each in item
            ):
                return False
        elif item != REDACTED and not _has_lists(item, depth + 1):
            return False
    return True


def _place(fault: Mapping[str, Any]) -> tuple[str, ...]:
    """Return where a fault is: ``("body", "email")``."""
    for name in _PLACES:
        place = fault.get(name)
        if name == "source":
            # JSON:API: {"pointer": "/data/attributes/email"} or {"parameter": "page"}.
            texts = place.values() if type(place) is dict else ()
            place = next((text for text in texts if type(text) is str), None)
        if type(place) is list and place:
            return tuple(str(part) for part in place if type(part) in (str, int))
        if type(place) is str and place:
            parts = place.removeprefix("#").split("/") if "/" in place else [place]
            return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts if part)
    return ()


def _shortened(text: str, limit: int) -> str:
    """Return *text* in one line, cut to *limit* characters."""
    text = " ".join(text[: 2 * limit].split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
