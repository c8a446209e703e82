"""
Bodies in the form in which they are stored: values whose keys the redactor can see, text, or a
description.

The body itself decides, not its headers: an application may parse JSON that is sent as an image, or
that claims to be compressed. The headers decide only what else is kept as text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from audit_handler._http.contents import is_clean_text, text_of, undone
from audit_handler._http.forms import MAX_FIELDS, gathered, is_form, pairs
from audit_handler._http.json_bodies import (
    JSON_BRACKETS,
    closed,
    first_byte,
    is_like_json,
    parsed,
)
from audit_handler._http.multipart import Part, parts_of

__all__ = ["Body"]

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)
_FILE = re.compile(r"^\s*attachment|;\s*filename\*?\s*=", re.IGNORECASE)
_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"

# Most bodies without a type are JSON.
_TEXT_TYPES = frozenset(
    {"", _FORM, "application/json"}
    | {f"application/{name}" for name in ("xml", "yaml", "x-yaml", "toml", "sql", "graphql")}
    | {f"application/{name}" for name in ("x-ndjson", "ndjson", "jsonl", "jsonlines", "json-seq")}
)
_TEXT_SUFFIXES = ("+json", "+xml", "+yaml")
# Text that is only described:
# 1. Pages, and parts of them. They are made for a browser from data that the trail has anyway,
#    64 KiB for each event, and hold one-time tokens in hidden fields.
# 2. Files, whose contents are not the request's: Content-Disposition names them.
# 3. Streams of events. They stay open for hours, and would hold their beginning in memory.
_DESCRIBED = frozenset(
    {"text/html", "application/xhtml+xml", "text/css", "text/javascript", "text/event-stream"}
)


class Body:
    """
    The size of a body, and its first *limit* bytes if they can be read.

    JSON is read whatever the type is, forms and text if the type is one of text or missing. Files
    in a form are described.

    Args:
        headers: The headers of the body, by lower-case name.
        limit: Bytes to keep.
    """

    __slots__ = (
        "_coding",
        "_content_type",
        "_data",
        "_is_known",
        "_is_text",
        "_limit",
        "_result",
        "_type",
        "size",
    )

    def __init__(self, headers: Mapping[str, str], limit: int) -> None:
        content_type = headers.get("content-type", "")
        self._type = content_type.partition(";")[0].strip().lower()
        self._content_type = content_type
        self._coding = _coding(headers.get("content-encoding", ""))
        self._is_text = self._is_json or (
            _is_text(self._type) and not _FILE.search(headers.get("content-disposition", ""))
        )
        self._limit = limit
        self._is_known = self._is_text or self._type == _MULTIPART or bool(self._coding)
        self._data = bytearray()
        self._result: tuple[Any, bool] | None = None
        self.size = 0

    @property
    def _is_json(self) -> bool:
        return self._type == "application/json" or self._type.endswith("+json")

    @property
    def is_cut(self) -> bool:
        """Whether `value` is only the beginning of the body."""
        return self._read()[1]

    def add(self, chunk: bytes) -> None:
        """Add the next chunk."""
        self.size += len(chunk)
        self._result = None
        if (room := self._limit - len(self._data)) > 0:
            self._data += chunk[:room]
            # All before this chunk was blank.
            if not self._is_known and (first := first_byte(chunk)):
                self._is_known = True
                if first not in JSON_BRACKETS:
                    # Nothing of an image or a download is kept.
                    self._limit = 0
                    self._data.clear()

    def value(self) -> Any:
        """
        Return the body as an object or text, a description in angle brackets, or None if it is
        empty. A body that was cut is text.
        """
        return self._read()[0]

    def whole_values(self) -> Any:
        """
        Return the same as `value`, but of JSON that was cut an object with the values before the
        cut. It is for finding a value, not for storing: it looks like a whole body.
        """
        value, is_cut = self._read()
        if is_cut and type(value) is str and is_like_json(value):
            with suppress(ValueError, RecursionError):
                return parsed(closed(value.encode()).encode())
        return value

    def _read(self) -> tuple[Any, bool]:
        """Return `value` and `is_cut`."""
        if self._result is None:
            self._result = self._value()
        return self._result

    def _value(self) -> tuple[Any, bool]:
        if not self.size:
            return None, False
        data, is_cut = bytes(self._data), 0 < self._limit < self.size
        if not data:
            return (None if self._is_text and not self._coding else self._description), False
        # Clients and proxies name a coding that they have not applied, or have removed. And curl -d
        # sends JSON as a form. So a body that looks like JSON is parsed as JSON first.
        found = self._json(data, is_cut=is_cut)
        if found is None and self._coding and not is_clean_text(data):
            content = undone(data, self._coding, self._limit)
            if content is None:
                return self._description, False
            data, is_cut = content[0], is_cut or not content[1]
            found = self._json(data, is_cut=is_cut)
        return found or self._text(data, is_cut=is_cut)

    def _json(self, data: bytes, *, is_cut: bool) -> tuple[Any, bool] | None:
        """Return `value` and `is_cut` of *data* if it is JSON, else None."""
        if not is_cut and (self._is_json or first_byte(data) in JSON_BRACKETS):
            with suppress(ValueError, RecursionError):
                return parsed(data), False
        return None

    def _text(self, data: bytes, *, is_cut: bool) -> tuple[Any, bool]:
        """Return `value` and `is_cut` of *data*, which is not JSON."""
        if self._type == _MULTIPART:
            parts = parts_of(data, self._content_type, MAX_FIELDS, is_cut=is_cut)
            if parts:
                return gathered((part.name, _part_value(part)) for part in parts), is_cut
        charset = _CHARSET.search(self._content_type)
        name = charset[1].lower() if charset else ""
        is_text = self._is_text and self._type != ""
        text = text_of(data, name, is_text=is_text, is_cut=is_cut)
        if text is None or not (self._is_text or (is_cut and is_like_json(text))):
            return self._description, False
        if not is_cut and self._type == _FORM:
            return pairs(text), False
        if not is_cut and is_form(text):
            # A client that forgets the type may also end the body with a line.
            return pairs(text.rstrip()), False
        return text or None, is_cut

    @property
    def _description(self) -> str:
        kind = self._type or "application/octet-stream"
        coding = f"{self._coding} of " if self._coding else ""
        return f"<{coding}{kind}, {self.size} bytes>"


def _part_value(part: Part) -> Any:
    """Return the value of a field, or the description of a file."""
    size = f"{len(part.content)} bytes" if part.is_whole else f"cut at {len(part.content)} bytes"
    kind = part.headers.get("content-type", "application/octet-stream")
    if part.filename is not None:
        return f"<{part.filename}: {kind}, {size}>"
    if kind.lower().startswith("multipart/"):
        # Not read: such parts could contain each other without end.
        return f"<{kind}, {size}>"
    body = Body(part.headers, len(part.content))
    body.add(part.content)
    value = body.value()
    if value is None:
        value = ""
    is_cut = type(value) is str and (body.is_cut or not part.is_whole)
    return f"{value}<cut>" if is_cut else value


def _is_text(kind: str) -> bool:
    """Return whether bodies of the type *kind* are kept as text."""
    return kind not in _DESCRIBED and (
        kind in _TEXT_TYPES
        or kind.startswith("text/")
        # An SVG is an image.
        or (kind.endswith(_TEXT_SUFFIXES) and not kind.startswith("image/"))
    )


def _coding(header: str) -> str:
    """Return the codings of *header* that change the body; "identity" does not."""
    codings = (coding.strip().lower() for coding in header.split(","))
    return ", ".join(coding for coding in codings if coding not in ("", "identity"))
