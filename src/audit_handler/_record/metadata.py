"""Build the JSON object of the column *metadata* from all values without their own column."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from audit_handler._record.plain import plain

__all__ = ["MARKS", "joined", "metadata_parts"]

MARKS = ("_invalid", "_redacted", "_truncated")
"""
Names in *metadata* that only this package sets; an extra with such a name goes to ``_invalid``.
"""


def metadata_parts(
    others: dict[str, Any], invalid: dict[str, Any], bound: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """
    Return three objects without common names that together are *metadata*: the extras that are not
    columns, the *metadata* that was given and bound, and the marks.

    Removes *metadata* and the marks from *others*.

    Args:
        others: Extras and bound fields that are not columns.
        invalid: Values that their columns cannot hold, by column.
        bound: All bound fields.
    """
    # Given and bound metadata are merged, because this column holds many values.
    given = others.pop("metadata", None)
    whole = {**_as_object(bound.get("metadata")), **_as_object(given)}
    whole = {name: value for name, value in whole.items() if name not in others}
    for mark in MARKS:
        for part in (whole, others):
            if mark in part:
                invalid[mark] = part.pop(mark)
    return [others, whole, {"_invalid": invalid} if invalid else {}]


def joined(*objects: bytes) -> bytes:
    """Return one JSON object with the pairs of all *objects*, which have no names in common."""
    return b"{%b}" % b",".join(text[1:-1] for text in objects if text != b"{}")


def _as_object(metadata: Any) -> dict[Any, Any]:
    """Return the application's *metadata* as a dict."""
    if type(metadata) is str and metadata.lstrip().startswith("{"):
        with suppress(ValueError, RecursionError):
            metadata = json.loads(metadata)
    if type(metadata) is not dict:
        metadata = {} if metadata is None else plain(metadata)
    return metadata if type(metadata) is dict else {"metadata": metadata}
