"""What a table does with acknowledged rows: engines and keys that lose or double some."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Risk", "engine_risk", "sharding_risk"]

_NEW_TABLE = "create a MergeTree table with: audit-handler init --table NAME"

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
# A Distributed table: its sharding key, and perhaps a policy.
_SHARDED_BY = re.compile(
    r"Distributed\('[^']*', '[^']*', '[^']*', (.+?)(?:, '[^']*')?\)(?: SETTINGS |$)"
)
# What has another value when the same rows are sent again; the server fills `ingested_at`.
_CHANGES = re.compile(
    r"\b(?:(?:rand|now|today|yesterday|generate|rowNumber|blockNumber|blockSize|fuzz|shuffle|uptime)"
    r"\w*\(|ingested_at\b)",
    re.IGNORECASE,
)


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


def sharding_risk(engine: str) -> Risk | None:
    """
    Return why a Distributed table of this *engine*, as for `engine_risk`, may lose and double rows
    that are sent again, or None.
    """
    found = _SHARDED_BY.match(engine)
    if not found or not _CHANGES.search(found[1]):
        return None
    return Risk(
        f"distributes rows by {found[1]}: rows that are sent again go to other shards, whose "
        "deduplication windows do not know them, and only a look-up keeps some from being lost and "
        "others from being doubled",
        "distribute by a value of the row, such as sipHash64(agent_id), or grant "
        "SELECT(writer_id, seq, event_date) to the user of the dsn",
    )


def _has_unique_key(engine: str) -> bool:
    found = _SORTED_BY.search(engine)
    names = set(re.findall(r"\w+", found[1])) if found else set()
    return "event_id" in names or names.issuperset({"writer_id", "seq"})
