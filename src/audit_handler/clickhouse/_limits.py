"""
Values that a column cannot hold, and that ClickHouse would store as another value without an error:
300 is 44 in a UInt8, and a day after 2149 is another day in a Date.

Only those: any other value that does not fit, ClickHouse refuses itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit_handler.errors import DataError
from audit_handler.schema import split_at_commas

__all__ = ["Limit", "limit_of"]

# A sign and the digits of the largest number, of an Int256, and some zeros in front.
_LONGEST = 100
_WHOLE = re.compile(r"[-+]?\d+", re.ASCII)
# The year of a day in the forms that ClickHouse reads: 2026-11-27, 27/11/2026, 20261127.
_YEAR = re.compile(r"(?:^|(?<=[ /]))\d{4}(?=[-/ ]|$|\d{4}$)", re.ASCII)
_NUMBER = rb"-?\d[\d.eE+-]*"


class _Number(str):
    """The digits of a number in JSON. A text is a plain `str`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaf:
    """
    A type that holds one value.

    Attributes:
        low, high: The smallest and the largest number.
        years: The first and the last year of a text.
        reads_digits: Whether digits in a text are a number too.
    """

    low: int
    high: int
    years: range | None = None
    reads_digits: bool = False

    @property
    def suspect(self) -> bytes:
        """The pattern of a value that may be outside."""
        if self.years is not None:
            return rb'("[^"\\]*"|' + _NUMBER + b")"
        if not self.reads_digits:
            return b"(" + _NUMBER + b")"
        digits = min(len(str(self.high)), len(str(-self.low)) if self.low else _LONGEST)
        return rb'("?[-+]?\d{%d,}"?)' % digits

    def __call__(self, value: Any) -> bool:
        """Return whether ClickHouse stores *value* as it is, or refuses it."""
        is_number = isinstance(value, _Number)
        if not isinstance(value, str):
            return True
        if is_number or (self.reads_digits and _WHOLE.fullmatch(value)):
            # Python raises ValueError for a whole number with thousands of digits.
            if len(value) > _LONGEST:
                return False
            number = int(value) if _WHOLE.fullmatch(value) else float(value)
            if not self.low <= number <= self.high:
                return False
        years = self.years
        return is_number or years is None or all(int(y) in years for y in _YEAR.findall(value))


_Fits = Callable[[Any], bool]

# Of `Date` and `DateTime`, the last years of which the type has every day. Numbers are days or
# seconds since 1970; a larger number of days counts as seconds. `Date32` and `DateTime64` have the
# limits of the years 1900 to 2299, which all versions hold: milliseconds are outside.
_LEAVES = {
    "Date": _Leaf(low=0, high=65_535, years=range(1970, 2149)),
    "Date32": _Leaf(low=-25_567, high=120_529),
    "DateTime": _Leaf(low=0, high=2**32 - 1, years=range(1970, 2106), reads_digits=True),
    "DateTime64": _Leaf(low=-2_208_988_800, high=10_413_791_999),
    "Time": _Leaf(low=-3_599_999, high=3_599_999),
    # The numbers of an Enum: 257 is 1 in eight bits. Digits in a text may be a name.
    "Enum8": _Leaf(low=-(2**7), high=2**7 - 1),
    "Enum16": _Leaf(low=-(2**15), high=2**15 - 1),
}
_INTEGER = re.compile(r"(U?)Int(8|16|32|64|128|256)")
_TYPE = re.compile(r"(\w+)(?:\((.*)\))?", re.DOTALL)
_ELEMENT = re.compile(r"(?:(\w+|`(?:[^`\\]|\\.)*`) )?(\w.*)", re.DOTALL)


class Limit:
    """
    The limits of one column.

    Args:
        name: The column.
        fits: Whether the column stores a value as it is, or refuses it.
    """

    def __init__(self, name: str, fits: _Fits) -> None:
        self.name = name
        self._fits = fits
        key = re.escape(json.dumps(name, ensure_ascii=False).encode())
        # A look at the bytes, because to parse all rows would take longer than to insert them. A
        # quotation mark inside of a text has a backslash.
        suspect = fits.suspect if isinstance(fits, _Leaf) else rb"[\[{]()"
        self._suspect = re.compile(key + b":" + suspect)

    def check(self, lines: bytes) -> None:
        """
        Find the first row of *lines* with a value outside of the limits.

        Raises:
            DataError: There is one.
        """
        for found in self._suspect.finditer(lines):
            token = found[1].decode()
            if token and self._fits(token.strip('"') if token[0] == '"' else _Number(token)):
                continue
            # The key may be one inside of another value: only the whole row shows that.
            start = lines.rfind(b"\n", 0, found.start()) + 1
            end = lines.find(b"\n", start)
            line = lines[start : end if end >= 0 else None]
            row = json.loads(line, parse_int=_Number, parse_float=_Number)
            if not self._fits(row.get(self.name)):
                raise DataError(
                    f"a value outside of the limits of column {self.name}",
                    row=lines.count(b"\n", 0, start) + 1,
                    key=self.name,
                )


def limit_of(name: str, column_type: str) -> Limit | None:
    """Return the limits of a column of *column_type*; None for a type that refuses such values."""
    fits = _fits_of(column_type)
    return Limit(name, fits) if fits is not None else None


def _fits_of(column_type: str) -> _Fits | None:
    """Return the check of a value; None if any value passes."""
    found = _TYPE.fullmatch(column_type)
    if found is None:
        return None
    kind, arguments = found[1], list(split_at_commas(found[2] or ""))
    if kind in ("Nullable", "LowCardinality", "SimpleAggregateFunction"):
        return _fits_of(arguments[-1])
    if kind == "Array":
        return _each(_fits_of(arguments[0]))
    if kind == "Map":
        return _entries(_fits_of(arguments[0]), _fits_of(arguments[1]))
    if kind in ("Tuple", "Nested"):
        fits = _elements(arguments)
        return _each(fits) if kind == "Nested" else fits
    if integer := _INTEGER.fullmatch(kind):
        bits = int(integer[2])
        if integer[1]:
            return _Leaf(low=0, high=2**bits - 1, reads_digits=True)
        return _Leaf(low=-(2 ** (bits - 1)), high=2 ** (bits - 1) - 1, reads_digits=True)
    if kind.startswith("Interval"):
        return _fits_of("Int64")
    if kind == "Time64":  # Numbers count its ticks.
        ticks = 3_600_000 * 10 ** int(arguments[0]) - 1
        return _Leaf(low=-ticks, high=ticks)
    return _LEAVES.get(kind)


def _each(fits: _Fits | None) -> _Fits | None:
    if fits is None:
        return None
    return lambda value: not isinstance(value, list) or all(map(fits, value))


def _entries(key_fits: _Fits | None, value_fits: _Fits | None) -> _Fits | None:
    if key_fits is None and value_fits is None:
        return None

    def fits(value: Any) -> bool:
        if not isinstance(value, Mapping):
            return True
        return (key_fits is None or all(map(key_fits, value))) and (
            value_fits is None or all(map(value_fits, value.values()))
        )

    return fits


def _elements(arguments: Sequence[str]) -> _Fits | None:
    """Return the check of a tuple, which is an object of its names, or an array."""
    found = [_ELEMENT.fullmatch(argument) for argument in arguments]
    elements = [(_unquoted(element[1] or ""), _fits_of(element[2])) for element in found if element]
    if not any(fits for _, fits in elements):
        return None

    def all_fit(value: Any) -> bool:
        if isinstance(value, list):
            pairs = zip(elements, value, strict=False)
            return all(fits is None or fits(each) for (_, fits), each in pairs)
        if isinstance(value, Mapping):
            return all(fits is None or fits(value.get(name)) for name, fits in elements)
        return True

    return all_fit


def _unquoted(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if name.startswith("`") else name
