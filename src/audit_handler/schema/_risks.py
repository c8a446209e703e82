"""What a table does with rows after ClickHouse has acknowledged them: engines that lose some."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Risk", "engine_risk"]

_NEW_TABLE = "create a MergeTree table with: audit-handler init --table NAME"

# Engines by name. The log is the place where a writer learns of them.
_ENGINES = {
    "Buffer": (
        "which keeps acknowledged rows in memory for a while: a crash of ClickHouse loses them",
        "name the table behind it with the option table",
    ),
    "Memory": (
        "which keeps rows in memory only: a restart of ClickHouse loses them",
        _NEW_TABLE,
    ),
    "Null": (
        "which keeps no rows: only its views store them, and no look-up finds them",
        _NEW_TABLE,
    ),
    **dict.fromkeys(
        ("Log", "StripeLog", "TinyLog"),
        (
            "which neither recognises a repeated insert nor writes rows to the disk at once",
            _NEW_TABLE,
        ),
    ),
}
_NAME = re.compile(r"\W*(\w*)")
# The MergeTree engines that make one row of those with the same sorting key.
_MERGES = re.compile(
    r"(?:Replacing|Summing|Aggregating|Coalescing|Collapsing|VersionedCollapsing|Graphite)MergeTree"
)
_SORTED_BY = re.compile(r" ORDER BY (.+?)(?: SAMPLE BY | TTL | SETTINGS |$)")


@dataclass(frozen=True, slots=True)
class Risk:
    """Why a table may lose or double rows that were acknowledged."""

    what: str
    """Completes a sentence that starts with the table's name."""
    remedy: str


def engine_risk(engine: str) -> Risk | None:
    """
    Return why a table of this engine may lose rows, or None.

    Args:
        engine: The engine with its keys, TTL and settings, as ClickHouse prints it, on one line.
    """
    found = _NAME.match(engine)
    name = found[1] if found else ""
    if name in _ENGINES:
        what, remedy = _ENGINES[name]
        return Risk(f"has the engine {name}, {what}", remedy)
    if _MERGES.search(name) and not _has_unique_key(engine):
        return Risk(
            f"has the engine {name}, which makes one row of those with the same sorting key: "
            "events disappear",
            _NEW_TABLE,
        )
    return None


def _has_unique_key(engine: str) -> bool:
    found = _SORTED_BY.search(engine)
    names = set(re.findall(r"\w+", found[1])) if found else set()
    return "event_id" in names or names.issuperset({"writer_id", "seq"})
