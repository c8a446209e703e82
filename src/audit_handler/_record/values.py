"""Read the value of one column: numbers, times, addresses, outcomes, UUIDs."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime, timezone
from enum import Enum
from ipaddress import ip_address
from typing import Any

from audit_handler.schema import COLUMNS, Kind

__all__ = ["EARLIEST", "Addresses", "Reader", "Times", "column_readers"]

Reader = Callable[[Any], Any]
"""
Returns a value as its column stores it. Returns None or raises any exception if the column cannot
hold the value.
"""

# 2020-01-01, the table's own constraint time_is_sane: ClickHouse would reject the batch for an
# older row.
EARLIEST = 1_577_836_800.0
# A day: clocks of two machines differ by less, and a row with a later time would outlive its
# retention.
_AHEAD = 86_400.0
# Enough for the clients of one moment. Without the limit, a scan of the address space would fill
# the memory.
_KNOWN_ADDRESSES_LIMIT = 4096

_NUMBERS = (float, int)


class Times:
    """
    Checks and formats times. Safe to call from several threads.

    Args:
        now: Returns Unix seconds.
    """

    __slots__ = ("_second", "now")

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self._second = (0, "")

    def is_stored(self, unix_seconds: Any) -> bool:
        """Return whether *unix_seconds* is a number from 2020 to one day ahead."""
        return isinstance(unix_seconds, _NUMBERS) and (
            EARLIEST <= unix_seconds <= self.now() + _AHEAD
        )

    def read(self, value: Any) -> str | None:
        """Return the text of a time: a number of seconds, datetime, date or ISO text."""
        seconds = _unix_seconds(value)
        return self.text(seconds) if self.is_stored(seconds) else None

    def text(self, unix_seconds: float) -> str:
        """
        Return *unix_seconds* in the form that ClickHouse reads fastest: UTC, a space, microseconds,
        no zone.
        """
        second = int(unix_seconds)
        cached, text = self._second
        if cached != second:
            text = datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
            # One tuple, so that no thread sees the second of one moment with the text of another.
            self._second = (second, text)
        # Rounded, because a float holds 0.123456 as 0.1234559, but never into the next second.
        return "%s.%06d" % (text, min(999_999, (unix_seconds - second) * 1e6 + 0.5))  # noqa: UP031  # in less time than an f-string


class Addresses:
    """Checks IP addresses, and remembers the verdicts. Safe to call from several threads."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def read(self, value: Any) -> str | None:
        text = str(value)
        is_valid = self._known.get(text)
        if is_valid is None:
            try:
                is_valid = "%" not in ip_address(text).compressed
            except ValueError:
                is_valid = False
            if len(self._known) < _KNOWN_ADDRESSES_LIMIT and len(text) < 64:
                self._known[text] = is_valid
        return text if is_valid else None


def column_readers(times: Times) -> Mapping[str, Reader]:
    """Return the readers of the columns that accept only some values, by column."""
    readers: Mapping[Kind, Reader] = {
        Kind.UINT16: lambda value: _whole_number(value, 0xFFFF),
        Kind.UINT32: lambda value: _whole_number(value, 0xFFFFFFFF),
        Kind.IP: Addresses().read,
        Kind.OUTCOME: _outcome,
        Kind.UUID: lambda value: str(value if type(value) is uuid.UUID else uuid.UUID(value)),
        Kind.TIME: times.read,
    }
    return {name: readers[kind] for name, kind in COLUMNS.items() if kind in readers}


def _outcome(value: Any) -> str | None:
    text = str(value.value if isinstance(value, Enum) else value).lower()
    return text if text in ("success", "failure", "unknown") else None


def _whole_number(value: Any, high: int) -> int | None:
    if type(value) is int:
        return value if 0 <= value <= high else None
    if type(value) is bool:
        return None
    number = int(value) if isinstance(value, str) else value
    # Compared before it is rounded, because rounding Decimal("1e999999") takes a minute.
    return round(number) if -1 < number < high + 1 and 0 <= round(number) <= high else None


def _unix_seconds(value: Any) -> float:
    """Return *value* as Unix seconds; a time without a zone is UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=timezone.utc)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
    return float(value)
