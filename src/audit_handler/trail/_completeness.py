"""Find the numbers of each writer that are missing from the trail or stored twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

__all__ = ["Completeness", "completeness"]

# Days around the period that are searched for a number before it counts as missing; None means the
# whole table. A busy writer wrote the row before its first one within a day, a quiet writer within
# weeks. The whole table is read only for writers with missing numbers.
_DAYS_AROUND = (1, 16, 256, None)

_Ask = Callable[[str, Mapping[str, Any]], list[dict[str, Any]]]
_Gap = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """The numbers of one writer within a period."""

    writer_id: str
    service: str
    rows: int
    first_seq: int
    last_seq: int
    missing: int
    """Numbers that no row of the table has, if the next row lies in the period."""
    repeated: int
    """Rows that are stored more than once."""
    gaps: tuple[_Gap, ...]
    """First and last number of each missing run."""
    first_time: str
    last_time: str

    @property
    def is_complete(self) -> bool:
        return not (self.missing or self.repeated)


def completeness(
    ask: _Ask, table: str, writers: Sequence[Mapping[str, Any]], period: tuple[datetime, datetime]
) -> list[Completeness]:
    """
    Return the numbers of each writer, those with the most missing and repeated ones first.

    Args:
        ask: Returns the rows of a SELECT.
        table: The table's name in SQL.
        writers: The rows of ``sql/queries/completeness.sql`` for the period.
        period: Its first moment and the first one after it, in UTC.
    """
    gaps: dict[str, tuple[_Gap, ...]] = {}
    suspects = [row for row in writers if row["missing"] or row["before_first"]]
    for days in _DAYS_AROUND:
        if not suspects:
            break
        gaps = _gaps(ask, table, suspects, period, days)
        suspects = [row for row in suspects if row["writer_id"] in gaps]
    found = [
        Completeness(
            writer_id=row["writer_id"],
            service=row["service"],
            rows=row["rows"],
            first_seq=row["first_seq"],
            last_seq=row["last_seq"],
            missing=sum(last - first + 1 for first, last in gaps.get(row["writer_id"], ())),
            repeated=row["repeated"],
            gaps=gaps.get(row["writer_id"], ()),
            first_time=row["first_time"],
            last_time=row["last_time"],
        )
        for row in writers
    ]
    return sorted(found, key=lambda each: -each.missing - each.repeated)


def _gaps(
    ask: _Ask,
    table: str,
    writers: Sequence[Mapping[str, Any]],
    period: tuple[datetime, datetime],
    days: int | None,
) -> dict[str, tuple[_Gap, ...]]:
    """
    Return, by writer, the runs of numbers that no row has within *days* around the period. Only
    runs count that have their next row in the period.
    """
    parameters: dict[str, Any] = {"writers": [row["writer_id"] for row in writers]}
    around = ""
    if days is not None:
        around = "AND event_date BETWEEN {first_day:Date} AND {last_day:Date}"
        since, until = period
        parameters["first_day"] = str(max(date(1970, 1, 1), since.date() - timedelta(days)))
        parameters["last_day"] = str(min(date(2149, 6, 6), until.date() + timedelta(days)))
    rows = ask(
        "SELECT writer_id, previous + 1 AS first, seq - 1 AS last "  # checked names
        "FROM (SELECT writer_id, seq, lagInFrame(seq, 1, 0) OVER "
        "(PARTITION BY writer_id ORDER BY seq ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) "
        f"AS previous FROM (SELECT DISTINCT writer_id, seq FROM {table} "
        f"WHERE writer_id IN {{writers:Array(String)}} {around})) "
        "WHERE seq > previous + 1 ORDER BY writer_id, first",
        parameters,
    )
    bounds = {row["writer_id"]: (row["first_seq"], row["last_seq"]) for row in writers}
    gaps: dict[str, list[_Gap]] = {}
    for row in rows:
        first_seq, last_seq = bounds[row["writer_id"]]
        if first_seq <= row["last"] + 1 <= last_seq:
            gaps.setdefault(row["writer_id"], []).append((row["first"], row["last"]))
    return {writer_id: tuple(found) for writer_id, found in gaps.items()}
