"""Whether a secret or an innocent can be read in a row."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus

__all__ = ["leaks", "shows"]

# A secret shorter than this may share half of its letters with any text by chance.
_SHORTEST_TO_HALVE = 10


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
