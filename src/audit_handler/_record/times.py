"""Read a time in any of the forms that programs and audit logs write, and format it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timezone
from decimal import Decimal
from math import nan
from typing import Any

__all__ = ["EARLIEST", "Times"]

# 1971-01-01, the table's own constraint time_is_sane: 1970 is the time that was never set.
EARLIEST = 31_536_000.0
# A day: clocks of two machines differ by less.
_AHEAD = 86_400.0

_NUMBERS = (float, int)
# Digits to the right of the seconds in seconds, milliseconds, microseconds and nanoseconds. At most
# one of them gives a time from 1971 to a day ahead: the bands are disjoint until the year 2969.
_UNITS = (0, 3, 6, 9)
# Unix seconds at which two clocks of Windows begin, FILETIME in 1601 and .NET in the year 1. Their
# ticks of 100 nanoseconds are today as large as the nanoseconds of 1974 and of 1990.
_TICKS_SINCE = (-11_644_473_600, -62_135_596_800)

_DIGITS = re.compile(r"(\d{1,19})(?:[.,](\d+))?", re.ASCII)
# Milliseconds of 1976 and 1977, or the 23rd of November 2025, 03:04: as 202511230304, or with its
# seconds as 251123030405 (ISO 8583). Nothing tells which.
_UNCLEAR = re.compile(
    r"(?:(?:19[7-9]|20\d)\d|(?P<short>\d\d))(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
    r"(?:[01]\d|2[0-3])[0-5]\d(?(short)[0-5]\d)",
    re.ASCII,
)
_EXPONENT = re.compile(r"\d+(?:\.\d+)?[eE][+]?\d{1,2}", re.ASCII)
# RFC 3339 and ISO 8601, with or without separators, as databases, Go, Java and JavaScript write
# them. A fraction needs seconds before it: in 2025-04-11:21:02.33 it is not clear what 33 counts.
_ISO = re.compile(
    r"""(\d{4})-?(?:(\d\d)-?(\d\d)|W(?P<week>\d\d)-?(?P<weekday>[1-7]))
    (?:(?:[Tt_:]|[ ]+|(?<=\d{8}))
        (?P<hour>\d\d)(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?)?
        [ ]?(?:(?P<utc>[Zz]|UTC|GMT)
            |(?P<sign>[-+\u2212])(?P<hours>\d\d)(?::?(?P<minutes>\d\d)(?::?(?P<seconds>\d\d))?)?
            # Go adds the name of the zone and its own clock, Java the name of the place.
            (?:[ ](?:[A-Z]{2,5}|[-+]\d{2,4}))?)?
        (?:[ ]m=[-+][\d.]+)?
        (?P<place>(?:\[[^\[\]]*\])*)
    )?""",
    re.ASCII | re.VERBOSE,
)
# Seconds and the serial number of an event of the Linux audit daemon.
_AUDITD = re.compile(r"(\d{8,10}\.\d{3}):\d{1,20}", re.ASCII)
# RFC 2822 (e-mail, HTTP), and the access logs of web servers. Only zones that mean one offset.
_NAMED = re.compile(
    r"""(?:(?P<weekday>Mon|Tue|Wed|Thu|Fri|Sat|Sun),[ ]{1,2})?
    (?P<day>\d\d?)[ /](?P<month>[A-Z][a-z]{2})[ /](?P<year>\d{4})[ :]
    (?P<clock>\d\d:\d\d(?::\d\d)?)[ ](?:(?P<offset>[-+]\d{4})|UTC?|GMT|Z)
    (?:[ ]\([A-Z]{2,5}\))?""",
    re.ASCII | re.VERBOSE,
)
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_EPOCH = date(1970, 1, 1).toordinal()


class Times:
    """
    Checks and formats times. Safe to call from several threads.

    Args:
        now: Returns Unix seconds.
    """

    __slots__ = ("_second", "now")

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        # The last second that was formatted: none, which no second is equal to.
        self._second: tuple[float, str] = (nan, "")

    def of_record(self, created: Any) -> str | None:
        """Return the text of a record's Unix seconds, or None unless `is_stored`."""
        second, text = self._second
        # Another time in the second of one that is stored is so too; with what `text` does here,
        # because nearly all records come this way.
        if type(created) is float and created // 1 == second:
            microseconds = (created - second) * 1e6 + 0.5
            return "%s.%06d" % (text, microseconds if microseconds < 1e6 else 999_999)  # noqa: UP031
        return self.text(created) if self.is_stored(created) else None

    def is_stored(self, unix_seconds: Any) -> bool:
        """Return whether *unix_seconds* is a number from 1971 to one day ahead."""
        return isinstance(unix_seconds, _NUMBERS) and (
            EARLIEST <= unix_seconds <= self.now() + _AHEAD
        )

    def read(self, value: Any) -> str | None:
        """
        Return the text of a time, or None if it is no time from 1971 to a day ahead.

        A datetime, a date, text of ISO 8601, RFC 2822, an access log or auditd, or a number or
        digits that count seconds, milliseconds, microseconds or nanoseconds: the one unit that
        gives a time in that range. A time without a zone is UTC. Digits of a fraction after the
        sixth are dropped; floats are rounded.
        """
        if isinstance(value, datetime):
            seconds = (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
            return self.text(seconds) if self.is_stored(seconds) else None
        if isinstance(value, str):
            return self._of_text(value.strip())
        if isinstance(value, date):
            return self._of_parts(_since_epoch(value.year, value.month, value.day), "")
        if hasattr(value, "item"):
            # A scalar of NumPy, as the plain value that it holds.
            plain = value.item()
            return None if hasattr(plain, "item") else self.read(plain)
        if isinstance(value, bool):
            return None
        if isinstance(value, int):
            return self._of_digits(str(int(value)), "") if 0 < value < 10**19 else None
        if isinstance(value, Decimal):
            if not 0 < value < 10**19 or value.as_tuple().exponent < -40:  # type: ignore[operator]
                return None
            return self._of_text(f"{value:f}")
        return self._of_float(float(value))

    def text(self, unix_seconds: float) -> str:
        """
        Return *unix_seconds* in the form that ClickHouse reads fastest: UTC, a space, microseconds,
        no zone.
        """
        second = int(unix_seconds)
        cached, text = self._second
        if cached != second:
            # Not strftime: it imports a module, which fails at the end of the interpreter.
            text = datetime.fromtimestamp(second, timezone.utc).isoformat(" ")[:19]
            # One tuple, so that no thread sees the second of one moment with the text of another.
            self._second = (second, text)
        # Rounded, because a float holds 0.123456 as 0.1234559, but never into the next second.
        microseconds = (unix_seconds - second) * 1e6 + 0.5
        # In half the time of an f-string and `min`.
        return "%s.%06d" % (text, microseconds if microseconds < 1e6 else 999_999)  # noqa: UP031

    def _of_text(self, text: str) -> str | None:
        if event := _AUDITD.fullmatch(text):
            text = event[1]
        if digits := _DIGITS.fullmatch(text):
            # As Unix time, 20261123 and 20261123030405 are outside every band.
            found = self._of_digits(digits[1], digits[2] or "")
            if found or len(digits[1]) not in (8, 14):
                return found
        if _EXPONENT.fullmatch(text):
            return self._of_float(float(text))
        parts = _ISO.fullmatch(_with_number_of_month(text))
        if not parts or (parts["place"] and not (parts["utc"] or parts["sign"])):
            return None
        hour, minute, second = (int(parts[n] or 0) for n in ("hour", "minute", "second"))
        is_leap = second == 60  # a leap second is the moment before midnight, UTC
        if minute > 59 or second > 60 or hour > 23:
            return None
        year = int(parts[1])
        if parts["week"]:
            day = date.fromisocalendar(year, int(parts["week"]), int(parts["weekday"]))
            seconds = _since_epoch(day.year, day.month, day.day)
        else:
            seconds = _since_epoch(year, int(parts[2]), int(parts[3]))
        seconds += hour * 3600 + minute * 60 + second
        if parts["sign"]:
            hours, minutes, rest = (int(parts[n] or 0) for n in ("hours", "minutes", "seconds"))
            if hours > 23 or minutes > 59 or rest > 59:
                return None
            offset = hours * 3600 + minutes * 60 + rest
            seconds -= offset if parts["sign"] == "+" else -offset
        if is_leap and seconds % 86_400:
            return None
        return self._of_parts(seconds, parts["fraction"] or "")

    def _of_digits(self, whole: str, fraction: str) -> str | None:
        """Return the text of a number of any of the units, exactly."""
        if _UNCLEAR.fullmatch(whole) or self._may_be_ticks(int(whole)):
            return None
        for unit in _UNITS:
            point = len(whole) - unit
            if point > 0 and (
                found := self._of_parts(int(whole[:point]), whole[point:] + fraction)
            ):
                return found
        return None

    def _may_be_ticks(self, number: float) -> bool:
        return number > 1e17 and any(  # Smaller ones are ticks of before 1971.
            self.is_stored(number / 10_000_000 + begin) for begin in _TICKS_SINCE
        )

    def _of_float(self, number: float) -> str | None:
        if self._may_be_ticks(number):
            return None
        for unit in _UNITS:
            seconds = number / 10**unit
            if self.is_stored(seconds):
                return self.text(seconds)
        return None

    def _of_parts(self, second: int, fraction: str) -> str | None:
        latest = self.now() + _AHEAD
        if not EARLIEST <= second + float(f"0.{fraction[:6] or 0}") <= latest:
            return None
        return self.text(second)[:-6] + fraction[:6].ljust(6, "0")


def _with_number_of_month(text: str) -> str:
    """
    Return a time that names its month in the form of ISO 8601; other texts as they are.

    A day of the week that is not that of the date makes the text no time: one of both is wrong.
    """
    parts = _NAMED.fullmatch(text)
    if not parts or parts["month"] not in _MONTHS:
        return text
    day = date(int(parts["year"]), _MONTHS.index(parts["month"]) + 1, int(parts["day"]))
    if parts["weekday"] not in (None, _WEEKDAYS[day.weekday()]):
        return text
    return f"{day}T{parts['clock']}{parts['offset'] or 'Z'}"


def _since_epoch(year: int, month: int, day: int) -> int:
    """Return the Unix seconds of a day's start. Raises ValueError if there is no such day."""
    return (date(year, month, day).toordinal() - _EPOCH) * 86_400
