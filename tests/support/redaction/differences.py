"""Which values redaction took out of an event: its original compared with what is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from audit_handler._record.redaction import REDACTED

__all__ = ["Taken", "taken"]

# Enough of the text before a value to see why it was taken.
_SHOWN_BEFORE = 40
_SHOWN_UNALIGNED = 60


class Taken(NamedTuple):
    """One value that is not in the stored event."""

    path: tuple[str, ...]
    """Names from the top of the event: ``[]`` in a list, ``~`` within a text that is JSON."""

    before: str
    """The end of the text in front of the value, if the value was a part of a text."""

    value: Any


def taken(original: Any, stored: Any, path: tuple[str, ...] = ()) -> Iterator[Taken]:
    """
    Yield the values of *original* that *stored* has replaced by the mark of redaction.

    Values that were cut because of their size are not listed: only those beside a mark.
    """
    if isinstance(original, str) and isinstance(stored, str):
        yield from _taken_of_text(original, stored, path)
    elif isinstance(original, dict) and isinstance(stored, dict):
        # By place: a name can be redacted too.
        for (name, value), (stored_name, left) in zip(
            original.items(), stored.items(), strict=False
        ):
            yield from _taken_of_text(str(name), stored_name, (*path, "{}"))
            yield from taken(value, left, (*path, str(name)))
    elif isinstance(original, list) and isinstance(stored, list):
        for value, left in zip(original, stored, strict=False):
            yield from taken(value, left, (*path, "[]"))
    elif stored == REDACTED:
        yield Taken(path, "", original)


def _taken_of_text(original: str, stored: str, path: tuple[str, ...]) -> Iterator[Taken]:
    if original == stored or REDACTED not in stored:
        return
    if stored == REDACTED:
        yield Taken(path, "", original)
        return
    documents = _container(original), _container(stored)
    if None not in documents:
        yield from taken(*documents, (*path, "~"))
        return
    end = 0
    parts = stored.split(REDACTED)
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        start = original.find(part, end) if part or not is_last else len(original)
        if start < 0:  # the text around the mark was changed too
            yield Taken(path, "?", original[end : end + _SHOWN_UNALIGNED])
            return
        if number:
            yield Taken(path, original[max(0, end - _SHOWN_BEFORE) : end], original[end:start])
        end = start + len(part)


def _container(text: str) -> Any:
    """Return the object or list whose JSON *text* is, or None."""
    try:
        read = json.loads(text)
    except ValueError:
        return None
    return read if isinstance(read, (dict, list)) else None
