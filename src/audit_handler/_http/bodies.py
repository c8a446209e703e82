"""
Bodies, forms and queries in the form in which they are stored: values whose keys the redactor can
see, or a description.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import orjson

__all__ = ["Body", "pairs"]

_CHARSET = re.compile(r"charset\s*=\s*\"?([\w-]+)", re.IGNORECASE)
# Read as UTF-8, a UTF-16 text has zeros between its letters, so no secret in it would be found.
# Python's other codecs are not used: some are not character sets, some are slow.
_CHARSETS = frozenset({"iso-8859-1", "latin-1", "windows-1252", "utf-16", "utf-16-le", "utf-16-be"})
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)|[\[\]{},]', re.DOTALL)
_DIGITS = bytes(ord("0") if chr(code).isdecimal() else ord(" ") for code in range(256))
# The digits of the smallest integer over 64 bits. A search for \d{19} takes longer than parsing.
_LONG_NUMBER = b"0" * 19
# As deep as the redactor goes.
_MAX_DEPTH = 64
# Fields of a form or query. Forms for people have fewer, and each field costs time in the event
# loop.
_MAX_FIELDS = 1000


class Body:
    """
    The size of a body, and its first *limit* bytes if its type is readable.

    JSON, forms and plain text are readable. XML, HTML and CSV are not, because the redactor finds
    no secrets in them.

    Args:
        headers: The headers of the body, by lower-case name.
        limit: Bytes to keep.
    """

    __slots__ = ("_charset", "_data", "_limit", "_type", "size")

    def __init__(self, headers: Mapping[str, str], limit: int) -> None:
        content_type = headers.get("content-type", "")
        self._type = content_type.partition(";")[0].strip().lower()
        charset = _CHARSET.search(content_type)
        self._charset = charset[1].lower() if charset else "utf-8"
        if headers.get("content-encoding", "identity") != "identity":
            self._type = f"{headers['content-encoding']} of {self._type}"
        self._limit = limit if self._is_readable else 0
        self._data = bytearray()
        self.size = 0

    @property
    def _is_readable(self) -> bool:
        # Most bodies without a type are JSON.
        return self._is_json or self._type in (
            "",
            "application/x-www-form-urlencoded",
            "text/plain",
        )

    @property
    def _is_json(self) -> bool:
        return self._type == "application/json" or self._type.endswith("+json")

    @property
    def is_cut(self) -> bool:
        """Whether a readable body is longer than the limit."""
        return 0 < self._limit < self.size

    def add(self, chunk: bytes) -> None:
        """Add the next chunk."""
        self.size += len(chunk)
        if (room := self._limit - len(self._data)) > 0:
            self._data += chunk[:room]

    def value(self) -> Any:
        """
        Return the body as an object or text, a description in angle brackets, or None if it is
        empty.
        """
        if not self.size:
            return None
        if not self._is_readable:
            return f"<{self._type}, {self.size} bytes>"
        data = bytes(self._data)
        # curl -d sends JSON as a form, so a body that looks like JSON is parsed as JSON first.
        if self._is_json or data.lstrip()[:1] in (b"{", b"["):
            try:
                return _parsed(_closed(data).encode() if self.is_cut else data)
            except (ValueError, RecursionError):
                pass
        charset = self._charset if self._charset in _CHARSETS else "utf-8"
        text = data.decode(charset, "replace") or None
        if text and self._type == "application/x-www-form-urlencoded":
            return pairs(text)
        return text


def _parsed(data: bytes) -> Any:
    """Return the same as ``json.loads``, in half the time."""
    # orjson turns integers over 64 bits into floats, and rejects NaN and encodings other than
    # UTF-8; json reads these.
    if _LONG_NUMBER not in data.translate(_DIGITS):
        with suppress(ValueError):
            return orjson.loads(data)
    return json.loads(data)


def _closed(data: bytes) -> str:
    """
    Return cut JSON up to its last whole value, with its brackets closed: valid JSON, whose keys the
    redactor can see.
    """
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


def pairs(text: str) -> Any:
    """Return a form or query as a dict; a name that occurs several times has a list."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        return f"<more than {_MAX_FIELDS} fields, {len(text)} characters>"
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            known = values[name]
            values[name] = [*known, value] if isinstance(known, list) else [known, value]
        else:
            values[name] = value
    return values
