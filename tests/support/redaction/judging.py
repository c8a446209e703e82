"""Whether a secret or an innocent can be read in a row."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus

__all__ = ["leaks", "masked", "shows"]

# A secret shorter than this may share half of its letters with any text by chance.
_SHORTEST_TO_HALVE = 10

_MASK = "[found]"


def leaks(value: Any, secret: str) -> bool:
    """
    Return whether *secret*, or half of a long one, can be read anywhere in *value*.

    Names count too. The secret counts as it is, and in the escapes of JSON, URLs or HTML.
    """
    forms = {secret, html.escape(secret), quote(secret), quote(secret, safe=""), quote_plus(secret)}
    if len(secret) >= _SHORTEST_TO_HALVE:
        half = (len(secret) + 1) // 2
        forms |= {secret[start : start + half] for start in range(len(secret) - half + 1)}
    readings = set(_texts(value))
    # Twice: a query within a query is encoded twice.
    for read in (unquote_plus, unquote_plus, html.unescape, _without_backslashes):
        readings |= {read(text) for text in readings}
    return any(form in text for form in forms for text in readings)


def shows(value: Any, innocent: str) -> bool:
    """Return whether *innocent* stands in *value*: in one of its texts, or in its compact JSON."""
    whole = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return any(innocent in text for text in (whole, *_texts(value)))


def masked(value: Any, found: Sequence[str]) -> Any:
    """Return *value* with a mask in place of each text in *found*, in names too."""
    if isinstance(value, dict):
        return {masked(name, found): masked(item, found) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item, found) for item in value]
    if not isinstance(value, str):
        return _MASK if json.dumps(value) in found else value
    for text in found:
        value = value.replace(text, _MASK)
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for pair in value.items():
            yield from _texts(pair)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _texts(part)
    else:
        yield value if isinstance(value, str) else json.dumps(value)


def _without_backslashes(text: str) -> str:
    read = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    return read.replace("\\", "")
