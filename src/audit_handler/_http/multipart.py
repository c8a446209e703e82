"""The parts of a ``multipart/form-data`` body: forms with files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Part", "parts_of"]

_BOUNDARY = re.compile(r";\s*boundary\s*=\s*(?:\"([^\"]{1,200})\"|([^\s;,\"]{1,200}))", re.I)
# Line ends without CR come from clients that build the body as text; servers accept them.
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_NAME = re.compile(r";\s*name\*?\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^;]*))", re.I)
_FILENAME = re.compile(r";\s*filename\*?\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^;]*))", re.I)
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One field or file of a form."""

    name: str
    filename: str | None
    """None if it is not a file."""
    headers: Mapping[str, str]
    """By lower-case name."""
    content: bytes
    is_whole: bool
    """False for the last part of a body that was cut."""


def parts_of(data: bytes, content_type: str, limit: int, *, is_cut: bool) -> list[Part] | None:
    """
    Return the parts of *data*, or None if it has no parts or more than *limit*.

    Args:
        data: The body, or its beginning.
        content_type: The header, which names the boundary.
        limit: The most parts.
        is_cut: Whether *data* is only the beginning.
    """
    found = _BOUNDARY.search(content_type)
    if not found:
        return None
    boundary = re.escape((found[1] or found[2]).encode("latin-1", "replace"))
    pieces = re.split(rb"(?:\r?\n|\A)--" + boundary, data, maxsplit=limit + 1)
    if not 1 < len(pieces) <= limit + 1:
        return None
    return list(_parts(pieces[1:], is_cut=is_cut))


def _parts(pieces: list[bytes], *, is_cut: bool) -> Iterator[Part]:
    for at, piece in enumerate(pieces, 1):
        if piece.startswith(b"--"):
            return
        is_whole = not is_cut or at < len(pieces)
        # An empty part may end in its head.
        head, *content = _HEAD_END.split(piece, maxsplit=1)
        if not content and not is_whole:
            return
        headers = dict(_headers(head.decode("utf-8", "replace")))
        disposition = headers.get("content-disposition", "")
        yield Part(
            name=_parameter(_NAME, disposition) or "",
            filename=_parameter(_FILENAME, disposition),
            headers=headers,
            content=b"".join(content),
            is_whole=is_whole,
        )


def _headers(head: str) -> Iterator[tuple[str, str]]:
    for line in head.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            yield name.strip().lower(), value.strip()


def _parameter(pattern: re.Pattern[str], disposition: str) -> str | None:
    found = pattern.search(disposition)
    if not found:
        return None
    return _ESCAPED.sub(r"\1", found[1]) if found[1] is not None else found[2].strip()
