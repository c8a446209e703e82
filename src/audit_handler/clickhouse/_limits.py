"""
Values that a column cannot hold, and that ClickHouse would store as another value without an error:
300 is 44 in a UInt8, and a day after 2149 is another day in a Date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from audit_handler.errors import DataError

__all__ = ["Limit", "limit_of"]

_INTEGERS = re.compile(r"\b(U?)Int(8|16|32|64|128|256)\b")
# The last years of which the type has every day.
_LAST_YEARS = {"Date": 2148, "DateTime": 2105}
_DAYS = re.compile(r"\b(Date|DateTime)\b")
_FIRST_YEAR = 1970
# A sign and the digits of the largest number, of an Int256, and some zeros in front.
_LONGEST = 100
_YEAR = re.compile(r"\d{4,}(?=-)")


class Limit:
    """
    The limits of one column that the user added.

    Args:
        name: The column.
        low: The smallest number that it holds.
        high: The largest one.
        is_day: Whether the numbers are years, at the start of a text.
    """

    def __init__(self, name: str, low: int, high: int, *, is_day: bool) -> None:
        self.name = name
        self._low = low
        self._high = high
        self._is_day = is_day
        key = re.escape(json.dumps(name, ensure_ascii=False).encode())
        # A look at the bytes, because to parse all rows would take longer than to insert them. A
        # quotation mark inside of a text has a backslash.
        digits = min(len(str(high)), len(str(-low)) if low else len(str(high)))
        number = rb"\d{4}" if is_day else rb"[-+]?\d{%d,}" % digits
        self._suspect = re.compile(key + rb':(?:"?(' + number + rb")|[\[{])")

    def check(self, lines: bytes) -> None:
        """
        Find the first row of *lines* with a value outside of the limits.

        Raises:
            DataError: There is one.
        """
        for found in self._suspect.finditer(lines):
            if found[1] and self._has(found[1].decode()):
                continue
            # The key may be one inside of another value: only the whole row shows that.
            start = lines.rfind(b"\n", 0, found.start()) + 1
            end = lines.find(b"\n", start)
            row = json.loads(lines[start : end if end >= 0 else None], parse_int=str)
            value = row.get(self.name)
            if not all(map(self._has, self._numbers(value))):
                raise DataError(
                    f"a value outside of the limits of column {self.name}",
                    row=lines.count(b"\n", 0, start) + 1,
                    key=self.name,
                )

    def _has(self, number: str) -> bool:
        # Python raises ValueError for a number with thousands of digits.
        return len(number) <= _LONGEST and self._low <= int(number) <= self._high

    def _numbers(self, value: Any) -> Iterator[str]:
        if isinstance(value, list):
            for each in value:
                yield from self._numbers(each)
        elif isinstance(value, dict):
            for each in value.values():
                yield from self._numbers(each)
        elif self._is_day:
            if isinstance(value, str) and (year := _YEAR.match(value)):
                yield year[0]
        elif isinstance(value, str) and re.fullmatch(r"[-+]?\d+", value):
            yield value


def limit_of(name: str, column_type: str) -> Limit | None:
    """Return the limits of a column of *column_type*; None for a type that refuses such values."""
    if found := _DAYS.search(column_type):
        return Limit(name, _FIRST_YEAR, _LAST_YEARS[found[1]], is_day=True)
    bits = [int(size) for _, size in _INTEGERS.findall(column_type)]
    if not bits or column_type.startswith(("AggregateFunction", "SimpleAggregateFunction")):
        return None
    is_unsigned = all(unsigned for unsigned, _ in _INTEGERS.findall(column_type))
    smallest = min(bits)
    if is_unsigned:
        return Limit(name, 0, 2**smallest - 1, is_day=False)
    return Limit(name, -(2 ** (smallest - 1)), 2 ** (smallest - 1) - 1, is_day=False)
