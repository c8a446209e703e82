"""
Find the innermost cause in a text of the server: of what a shard said, or a materialized view.

The server wraps a cause in where it happened, and adds queries and stack traces. A text about a
failed conversion quotes the row.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Cause", "innermost_cause"]

_NESTED = re.compile(r"DB::(?:\w*)Exception: ")
_SHARD = re.compile(r"Received from ([\w.:\[\]-]+)\.\s*$")
_NAME = r"(?:[\w-]+|`[^`]+`)"
_VIEW = re.compile(rf": while pushing to view ({_NAME}(?:\.{_NAME})?)")
# The server's labels at the end: (UNKNOWN_TABLE), (version 26.9.2.1 (official build)).
_LABELS = re.compile(r"\.?(?: \([A-Z0-9_]+\))?(?: \(version .*)?\.?\s*$", re.DOTALL)
_NOISE = re.compile(
    r"(?:\.?,? Stack trace:|[.:]? In scope |: while (?:executing|converting|pushing) |"
    r": [Ii]nsertion status:|\. \([A-Z0-9_]+\)|\. Note: there are |\. Maybe you meant ).*",
    re.DOTALL,
)
_TARGET = re.compile(r"Target table '([^']+)' of view '([^']+)' doesn't exist")
_UNKNOWN_TABLE = re.compile(r"Unknown table expression identifier '([^']+)'")
# Conversions and parsers quote the value that they refuse.
_QUOTES_VALUE = re.compile(r"\b(?:[Pp]arse|[Cc]onvert|[Cc]ast|element|[Vv]alue|[Ii]nvalid)\b")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_UNQUOTED = re.compile(r"\b([Pp]arse \w+) (?!string\b|from\b|'\.\.\.')[^:]*:")


class Cause(NamedTuple):
    """Why ClickHouse refused, and where."""

    text: str
    """The cause. It is not cut, and may contain secrets."""
    view: str
    """The materialized view that failed on the rows, the innermost one; empty if none did."""
    remedy: str
    """What to do about the view; empty if none failed."""


def innermost_cause(text: str) -> Cause:
    """
    Return the innermost cause in *text*, an exception as ClickHouse writes it.

    Row values in errors of conversions are cut.
    """
    text = " ".join(text.split())
    pieces = _NESTED.split(text)
    shard = next((found[1] for piece in reversed(pieces) if (found := _SHARD.search(piece))), "")
    views = _VIEW.findall(text)
    said = _LABELS.sub("", _NOISE.sub("", pieces[-1]))
    view = views[0] if views else ""
    if found := _TARGET.search(said):
        # The server says view and means the table that the view watches.
        said = f"table {found[1]} is missing, the target of a materialized view on {found[2]}"
        remedy = f"create {found[1]} again, or drop the view"
    elif view and (found := _UNKNOWN_TABLE.search(said)):
        said = f"table {found[1]} is missing, and the materialized view {view} reads it"
        remedy = f"create {found[1]} again, or drop the view"
    elif view:
        said = f"{_without_values(said)} (in the materialized view {view})"
        remedy = f"fix the materialized view {view} or the table that it writes to, or drop it"
    else:
        said, remedy = _without_values(said), ""
    return Cause(f"{shard} said: {said}" if shard else said, view, remedy)


def _without_values(said: str) -> str:
    if not _QUOTES_VALUE.search(said):
        return said
    return _UNQUOTED.sub(r"\1 ...:", _QUOTED.sub("'...'", said))
