"""JSON of bodies: recognised by its first bytes, parsed, and closed where it was cut."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import orjson

__all__ = ["JSON_BRACKETS", "closed", "first_byte", "is_like_json", "parsed"]

JSON_BRACKETS = (b"{", b"[")
"""The first bytes of an object and a list."""

# White space, byte order marks, and the zeros of UTF-16 and UTF-32.
_BEFORE_JSON = b" \t\r\n\0\xef\xbb\xbf\xfe\xff"
# An object or a list. RTF begins with a bracket too: {\rtf1.
_JSON_START = re.compile(r"\s*(?:\{\s*(?:[\"}]|\Z)|\[\s*(?:[\"\[{\]\-\dtfnNI]|\Z))")
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)|[\[\]{},]', re.DOTALL)
_DIGITS = bytes(ord("0") if chr(code).isdecimal() else ord(" ") for code in range(256))
# The digits of the smallest integer over 64 bits. A search for \d{19} takes longer than parsing.
_LONG_NUMBER = b"0" * 19
# As deep as the redactor goes.
_MAX_DEPTH = 64


def first_byte(data: bytes) -> bytes:
    """Return the first byte of *data* after white space and byte order marks, or nothing."""
    # The first bytes are nearly always enough, and stripping copies the rest.
    return data[:16].lstrip(_BEFORE_JSON)[:1] or data.lstrip(_BEFORE_JSON)[:1]


def is_like_json(text: str) -> bool:
    """Return whether *text* is the beginning of a JSON object or list."""
    return _JSON_START.match(text) is not None


def parsed(data: bytes) -> Any:
    """
    Return the same as ``json.loads``, in half the time.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is too deep.
    """
    # orjson turns integers over 64 bits into floats, and rejects NaN and encodings other than
    # UTF-8; json reads these.
    if _LONG_NUMBER not in data.translate(_DIGITS):
        with suppress(ValueError):
            return orjson.loads(data)
    return json.loads(data)


def closed(data: bytes) -> str:
    """Return cut JSON up to its last whole value, with its brackets closed: valid JSON."""
    text = data.decode(json.detect_encoding(data), "ignore")
    expected: list[str] = []
    end, closing = 0, ""
    for token in _JSON_TOKEN.finditer(text):
        sign = token[0]
        if sign in ("{", "["):
            expected.append("}" if sign == "{" else "]")
            if len(expected) > _MAX_DEPTH:
                break
        elif sign in ("}", "]"):
            if not expected or expected.pop() != sign:
                break
        elif sign != ",":
            continue
        end, closing = token.start() if sign == "," else token.end(), "".join(reversed(expected))
    return text[:end] + closing
