"""
Read JSON text without a loss, alone or in a text, and write it again: numbers as they were written,
and a name that occurs twice.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

__all__ = [
    "Literal",
    "Members",
    "parsed",
    "past_sign",
    "places_in",
    "rewritten",
    "with_objects",
    "without_objects",
    "written",
]


class Members(list[tuple[str, Any]]):
    """The names and values of an object."""


class Literal(str):
    """A number, as it was written."""

    __slots__ = ()


_decoder = json.JSONDecoder(
    object_pairs_hook=Members, parse_float=Literal, parse_int=Literal, parse_constant=Literal
)
_BEGIN = re.compile(r"""[{\[]\s*["{\[]""")
# A text, a sign, or a number or literal.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
# In place of an object stands its number in letters, because rules look for digits, and what nobody
# can guess.
_NONCE = "".join(chr(ord("a") + byte % 26) for byte in os.urandom(8))
_SIGN = re.compile(rf"\{{\0{_NONCE}([a-j]{{1,7}})\0\}}")
_TO_LETTERS = str.maketrans("0123456789", "abcdefghij")
_TO_DIGITS = str.maketrans("abcdefghij", "0123456789")
# Characters in which a list of objects shows its first one.
_SOME = 16
# So often a text is read at most, in search of what is whole in it; and so many times reading
# fails, because each error counts the lines of all of the text.
_READINGS = 4
_FAILURES = 100
_encode = json.JSONEncoder(ensure_ascii=False).encode


def _quoted(value: Any) -> str:
    """Return the JSON of a text, a boolean or None."""
    text = _encode(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        # A lone surrogate stays escaped: no encoder accepts it as a character.
        return json.dumps(value)
    return text


def parsed(text: str) -> Any:
    """
    Return the value of a JSON text: `Members`, lists, text, `Literal`, booleans and None.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is too deep.
    """
    return _decoder.decode(text)


def places_in(text: str) -> Iterator[tuple[int, int]]:
    """
    Yield where objects and lists in JSON stand in *text*, those that have text or objects in them.

    Of one that is cut, those in it. Takes time in proportion to the text.
    """
    position, characters, failures = 0, _READINGS * len(text), _FAILURES
    while failures and (found := _BEGIN.search(text, position)):
        start = found.start()
        try:
            _, position = _decoder.raw_decode(text, start)
        except json.JSONDecodeError as exc:
            characters -= exc.pos - start
            position = start + 1 if characters > 0 else max(exc.pos, start + 1)
            failures -= 1
        except (ValueError, RecursionError):
            return
        else:
            yield start, position


def written(value: Any, *, comma: str, colon: str) -> str:
    """Return the JSON text of what `parsed` returned, with these separators."""
    kind = type(value)
    if kind is Members:
        inner = (
            f"{_quoted(name)}{colon}{written(item, comma=comma, colon=colon)}"
            for name, item in value
        )
        return f"{{{comma.join(inner)}}}"
    if kind is list:
        return f"[{comma.join(written(item, comma=comma, colon=colon) for item in value)}]"
    return str(value) if kind is Literal else _quoted(value)


def rewritten(text: str, redact: Callable[[Any], Any]) -> str | None:
    """
    Return a JSON *text* after *redact* has changed what `json_text.parsed` returns: with all that
    it did not change as it is, and None if it is not JSON, or too deep.
    """
    start = len(text) - len(text.lstrip("\ufeff \t\r\n"))
    end = len(text.rstrip())
    try:
        value = parsed(text[start:end])
        redacted = redact(value)
        if redacted == value:
            return text
        try:
            shown = _Patch(text[start:end]).patched(value, redacted)
        except (ValueError, StopIteration):
            # *redact* returned more or fewer parts.
            shown = written(redacted, comma=",", colon=":")
        return text[:start] + shown + text[end:]
    except (ValueError, RecursionError):
        return None


class _Patch:
    """Puts other values into one JSON text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _TOKEN.finditer(text)
        self._pieces: list[str] = []
        self._done = 0

    def patched(self, before: Any, after: Any) -> str:
        """
        Return the text of *before*, with the parts of *after* that are not the same.

        Args:
            before: What `parsed` returned of the text.
            after: The same, with other names and values, or one value in place of a whole object or
                list.

        Raises:
            ValueError, StopIteration: *after* has more or fewer parts.
        """
        self._value(before, after)
        return "".join((*self._pieces, self._text[self._done :]))

    def _value(self, before: Any, after: Any) -> None:
        first = next(self._tokens)
        if type(before) is Members and type(after) is Members:
            for (name, item), (shown, left) in zip(before, after, strict=True):
                self._put(next(self._tokens), name, shown)
                next(self._tokens)
                self._value(item, left)
                next(self._tokens)
            if not before:
                next(self._tokens)
        elif type(before) is list and type(after) is list:
            for item, left in zip(before, after, strict=True):
                self._value(item, left)
                next(self._tokens)
            if not before:
                next(self._tokens)
        else:
            last, depth = first, int(first[0] in ("{", "["))
            while depth:
                last = next(self._tokens)
                depth += (last[0] in ("{", "[")) - (last[0] in ("}", "]"))
            self._put(first, before, after, last)

    def _put(
        self, first: re.Match[str], before: Any, after: Any, last: re.Match[str] | None = None
    ) -> None:
        if before != after:
            self._pieces += (
                self._text[self._done : first.start()],
                written(after, comma=",", colon=":"),
            )
            self._done = (last or first).end()


def without_objects(text: str, redact: Callable[[Any], Any]) -> tuple[str, list[str]]:
    """
    Return *text* with a sign in place of each JSON object or list of objects in it, and these after
    `rewritten` has changed them. `with_objects` puts them back.
    """
    pieces: list[str] = []
    objects: list[str] = []
    done = 0
    for start, end in places_in(text):
        shown = rewritten(text[start:end], redact)
        if shown is None:
            continue
        if "{" in text[start : min(end, start + _SOME)]:
            number = str(len(objects)).translate(_TO_LETTERS)
            pieces += (text[done:start], f"{{\0{_NONCE}{number}\0}}")
            objects.append(shown)
        else:
            # For rules that read a list with the text around it: the values of a statement in SQL.
            pieces += (text[done:start], shown)
        done = end
    return "".join((*pieces, text[done:])), objects


def with_objects(text: str, objects: Sequence[str]) -> str:
    """Return *text*, which `without_objects` returned, with what is left of its *objects*."""
    if not objects:
        return text
    return _SIGN.sub(lambda found: objects[int(found[1].translate(_TO_DIGITS))], text)


def past_sign(text: str, end: int) -> int:
    """Return *end*, or the end of the sign of `without_objects` whose bracket it stands before."""
    return end + 1 if text.startswith("\0}", end - 1) else end
