"""The content of a body: without its compression, and as text."""

from __future__ import annotations

import codecs
import json
import re
import zlib

__all__ = ["is_clean_text", "text_of", "undone"]

# Besides UTF-8. Python's other codecs are not used: some are not character sets, some are slow.
_CHARSETS = frozenset({"iso-8859-1", "latin-1", "windows-1252", "utf-16", "utf-16-le", "utf-16-be"})
# No text has them, and nearly all compressed data does.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
# zlib's windowBits: gzip and zlib, told apart by their headers, and deflate without a header, which
# some clients send as "deflate".
_WITH_HEADER, _RAW = 47, -15
_CODINGS = {
    "gzip": (_WITH_HEADER,),
    "x-gzip": (_WITH_HEADER,),
    "deflate": (_WITH_HEADER, _RAW),
    "x-deflate": (_WITH_HEADER, _RAW),
}


def undone(data: bytes, coding: str, limit: int) -> tuple[bytes, bool] | None:
    """
    Return the first *limit* bytes of what *data* holds, and whether that is all of it; or None if
    it is not compressed with *coding*.

    Takes time and memory for *limit* bytes only, however much a hostile body would unfold to.
    """
    for bits in _CODINGS.get(coding, ()):
        stream = zlib.decompressobj(bits)
        try:
            content = stream.decompress(data, limit + 1)
        except zlib.error:
            continue
        # 1. Something follows the end, which another reader may decompress too.
        # 2. Without a header, any text may look like the beginning of a compressed one.
        if stream.unused_data or (bits == _RAW and not stream.eof):
            continue
        return content[:limit], stream.eof and len(content) <= limit
    return None


def is_clean_text(data: bytes) -> bool:
    """Return whether *data*, which may end inside a character, is plain UTF-8 text."""
    text = _decoded(data, "utf-8", "strict", is_cut=True)
    return text is not None and not _CONTROL.search(text)


def text_of(data: bytes, charset: str, *, is_text: bool, is_cut: bool) -> str | None:
    """
    Return *data* as text without a byte order mark, or None if it is binary.

    Args:
        data: The body, or its beginning.
        charset: The character set that the headers name, in lower case.
        is_text: Whether the type is one of text. It is then read even with some wrong bytes.
        is_cut: Whether *data* may end inside a character.
    """
    # UTF-8 first, whatever the headers say: read as UTF-16, no secret in it would be found.
    text = _decoded(data, "utf-8", "strict", is_cut=is_cut)
    if text is None or "\0" in text:
        if not is_text:
            return None
        found = _charset(data, charset if text is None else "")
        text = _decoded(data, found, "replace", is_cut=is_cut)
        # UTF-16 that was read as UTF-8 has zeros between its letters: no secret is found in it.
        if text is None or _CONTROL.search(text):
            return None
    return text.removeprefix("\ufeff")


def _charset(data: bytes, named: str) -> str:
    """Return the character set of *data*, which is not UTF-8 or has zeros in it."""
    found: str = json.detect_encoding(data)
    if not found.startswith("utf-8") or named not in _CHARSETS:
        return found
    # Without a byte order mark, which would have been found.
    return "utf-16-le" if named == "utf-16" else named


def _decoded(data: bytes, charset: str, errors: str, *, is_cut: bool) -> str | None:
    try:
        return codecs.getincrementaldecoder(charset)(errors).decode(data, not is_cut)
    except UnicodeError:
        return None
