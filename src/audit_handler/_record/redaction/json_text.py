"""
Read JSON text without a loss, and write it again: numbers as they were written, and a name that
occurs twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["Literal", "Members", "parsed", "places_in", "written"]


class Members(list[tuple[str, Any]]):
    """The names and values of an object."""


class Literal(str):
    """A number, as it was written."""

    __slots__ = ()


_decoder = json.JSONDecoder(
    object_pairs_hook=Members, parse_float=Literal, parse_int=Literal, parse_constant=Literal
)
_BEGIN = re.compile(r"""[{\[]\s*["{\[]""")
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
