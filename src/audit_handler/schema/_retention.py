"""Retentions that count from the event alone, so that they drop events of the past at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from audit_handler.schema._split import split_at_commas

__all__ = ["column_ttls_of_past_events", "ttl_of_past_events"]

_TTL = re.compile(r" TTL (.+?)(?: SETTINGS .*)?$", re.DOTALL)
_TIME = re.compile(r"\bevent_(?:date|time)\b")
# A rule of a TTL that moves, compresses or sums up rows.
_KEEPS = re.compile(r" (?:TO (?:DISK|VOLUME) '|RECOMPRESS |GROUP BY )")
# Parts of a column's definition, as ClickHouse prints it.
_COLUMN = re.compile(r"\s*`(\w+)` ")
_DEFAULT = re.compile(
    r" (?:DEFAULT|MATERIALIZED|ALIAS) (.+?)(?: COMMENT '| CODEC\(| STATISTICS\(| TTL | SETTINGS |$)"
)
_COLUMN_TTL = re.compile(r" TTL (.+?)(?: SETTINGS |$)")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`", re.DOTALL)


def ttl_of_past_events(engine: str, ddl: str) -> str | None:
    """
    Return the TTL of a table if it drops rows by the event's time alone, so that events of the past
    are dropped right after they were stored; else None. The time may stand in the default of a
    column that the TTL names.

    Args:
        engine: The engine with its keys, TTL and settings, as ClickHouse prints it, on one line.
        ddl: The CREATE statement of the table, printed in the same way.
    """
    plain = _without_quoted_marks(engine)
    found = _TTL.search(plain)
    if found is None:
        return None
    defaults = {name: default for name, default, _ttl in _columns(ddl) if default}
    for rule in split_at_commas(found[1]):
        if not _KEEPS.search(rule) and _counts_from_event(rule, defaults):
            return engine[found.start(1) : found.end(1)]
    return None


def column_ttls_of_past_events(ddl: str) -> dict[str, str]:
    """
    Return the TTLs, by column, that empty the column of events of the past right after they were
    stored. *ddl* is as for `ttl_of_past_events`.
    """
    columns = list(_columns(ddl))
    defaults = {name: default for name, default, _ttl in columns if default}
    return {name: ttl for name, _, ttl in columns if ttl and _counts_from_event(ttl, defaults)}


def _counts_from_event(rule: str, defaults: Mapping[str, str]) -> bool:
    """Return whether *rule*, with the *defaults* of its columns, names the event's time alone."""
    text = rule
    seen: set[str] = set()
    while new := defaults.keys() & set(re.findall(r"\w+", text)) - seen:
        seen |= new
        text = " ".join([text, *(defaults[name] for name in new)])
    return _TIME.search(text) is not None and "ingested_at" not in text


def _columns(ddl: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, default and TTL of each column; empty if there is none."""
    plain = _without_quoted_marks(ddl)
    for part in split_at_commas(plain.partition("(")[2]):
        if name := _COLUMN.match(part):
            default, ttl = _DEFAULT.search(part), _COLUMN_TTL.search(part)
            yield name[1], default[1] if default else "", ttl[1] if ttl else ""


def _without_quoted_marks(sql: str) -> str:
    """Return *sql*, of the same length, with only letters, digits and ``_`` inside of quotes."""
    return _QUOTED.sub(lambda m: m[0][0] + re.sub(r"\W", "_", m[0][1:-1]) + m[0][-1], sql)
