"""Times as audit logs, databases and languages write them, alike on every Python."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from audit_handler._record.times import Times
from tests.support.records import NOW, row_of

WHOLE = "2026-11-23 03:04:05.000000"
EXACT = "2026-11-23 03:04:05.123456"
MILLIS = "2026-11-23 03:04:05.123000"

READ = [
    # Unix time, by size
    (1_795_403_045, WHOLE),
    (1_795_403_045_123, MILLIS),
    (1_795_403_045_123_456, EXACT),
    (1_795_403_045_123_456_789, EXACT),
    (1_795_403_045_123.0, MILLIS),
    ("1795403045", WHOLE),
    ("1795403045123", MILLIS),
    ("1795403045123456789", EXACT),
    ("1795403045.123456789", EXACT),
    (" 1795403045.123 ", MILLIS),
    ("1.795403045e9", WHOLE),
    (Decimal("1795403045.1234569"), EXACT),
    (31_536_000, "1971-01-01 00:00:00.000000"),
    (31_536_000_000, "1971-01-01 00:00:00.000000"),
    (31_536_000_000_000, "1971-01-01 00:00:00.000000"),
    (31_536_000_000_000_000, "1971-01-01 00:00:00.000000"),
    # CloudTrail, Kubernetes, Okta, Google Cloud, Azure
    ("2026-11-23T03:04:05Z", WHOLE),
    ("2026-11-23T03:04:05.123456Z", EXACT),
    ("2026-11-23T03:04:05.123Z", MILLIS),
    ("2026-11-23T03:04:05.123456789Z", EXACT),
    ("2026-11-23T03:04:05.1234567Z", EXACT),
    ("2026-11-23T03:04:05.5Z", "2026-11-23 03:04:05.500000"),
    ("2026-11-23t03:04:05z", WHOLE),
    ("2026-11-23T03:04:05,123Z", MILLIS),
    # Java, Postgres, SQL Server, Go, Ruby, .NET
    ("2026-11-23T04:04:05.123+0100", MILLIS),
    ("2026-11-23T04:04:05.123+01:00[Europe/Berlin]", MILLIS),
    ("2026-11-23 03:04:05.123 UTC", MILLIS),
    ("2026-11-23 03:04:05.123+00", MILLIS),
    ("2026-11-23 03:04:05.1234567 +00:00", EXACT),
    ("2026-11-23 03:04:05.123456789 +0000 UTC", EXACT),
    ("2026-11-23 04:04:05.123456789 +0100 CET m=+0.000012", EXACT),
    ("2026-11-23T03:04:05-00:00", WHOLE),
    ("2026-11-23T08:34:05+05:30", WHOLE),
    # Basic forms: AWS signatures, LDAP
    ("20261123T030405Z", WHOLE),
    ("20261123030405.123Z", MILLIS),
    ("20261123030405", WHOLE),
    ("20261123", "2026-11-23 00:00:00.000000"),
    ("2026-11-23", "2026-11-23 00:00:00.000000"),
    ("2026-11-23T03:04Z", "2026-11-23 03:04:00.000000"),
    ("2026-11-23T03", "2026-11-23 03:00:00.000000"),
    ("2026-11-23:03:04:05", WHOLE),
    # Days of an ISO week
    ("2026-W48-1T03:04:05Z", WHOLE),
    ("2026W481T030405Z", WHOLE),
    ("2026-W48-1", "2026-11-23 00:00:00.000000"),
    ("2020-W53-5", "2021-01-01 00:00:00.000000"),
    # The Linux audit daemon
    ("1795403045.123:24287", MILLIS),
    ("1364481363.243:24287", "2013-03-28 14:36:03.243000"),
    # E-mail, HTTP, access logs
    ("Mon, 23 Nov 2026 03:04:05 +0000", WHOLE),
    ("Mon, 23 Nov 2026 03:04:05 GMT", WHOLE),
    ("Mon, 23 Nov 2026 03:04:05 +0000 (UTC)", WHOLE),
    ("Sun, 22 Nov 2026 19:04:05 -0800 (PST)", WHOLE),
    ("23 Nov 2026 08:34 +0530", "2026-11-23 03:04:00.000000"),
    ("Sun,  1 Nov 2026 03:04:05 -0000", "2026-11-01 03:04:05.000000"),
    ("23/Nov/2026:04:04:05 +0100", WHOLE),
    ("Sat, 31 Dec 2016 23:59:60 GMT", "2017-01-01 00:00:00.000000"),
    # Leap seconds
    ("2016-12-31T23:59:60Z", "2017-01-01 00:00:00.000000"),
    ("2016-12-31T15:59:60.5-08:00", "2017-01-01 00:00:00.500000"),
    ("2012-06-01T00:00:00Z", "2012-06-01 00:00:00.000000"),
]

NOT_READ = [
    "2025-04-11:21:02.33",
    "2025-04-11-07:00",
    "202504112102",
    202504112102,
    "2025-04-11+01:00",
    "2026-11-23T03:04:60Z",
    "2026-11-23T25:00:00Z",
    "2026-11-23T03:04:05 CET",
    "2026-11-23T03:04:05[Europe/Berlin]",
    "2026-11-23T03:04:05+24:00",
    "2026-13-01",
    "2026-11-23T03:04:05Zjunk",
    "Nov 23 03:04:05",
    "2026-W48",
    "2026-W54-1",
    "2026-W48-8",
    "2025-W53-1",
    "2026-W48-1-07:00",
    "2026-327",
    "1795403045.12:24287",
    "1795403045:24287",
    "179540304512.123:24287",
    "1795403045.123:",
    "Tue, 23 Nov 2026 03:04:05 +0000",
    "Mon, 23 Nov 2026 03:04:05 EST",
    "Mon, 23 Nov 2026 03:04:05 A",
    "Mon, 23 Nov 2026 03:04:05",
    "Mon, 23 Nov 26 03:04:05 +0000",
    "Monday, 23-Nov-26 03:04:05 GMT",
    "Mon Nov 23 03:04:05 2026",
    "Mon, 31 Nov 2026 03:04:05 +0000",
    "Mon, 23 Nov 2026 25:04:05 +0000",
    "Mon, 23 Nov 2026 03:04:05 +2400",
    "23 Nev 2026 03:04:05 +0000",
    "11/23/2026 03:04:05",
    "nan",
    "inf",
    "-1795403045",
    "1_795_403_045",
    "١٧٩٥٤٠٣٠٤٥",
    "9" * 5_000,
    -1,
    0,
    31_535_999,
    True,
    10**400,
    1e300,
    Decimal("1e999999"),
    Decimal("NaN"),
    13_377_376_800_000_000,
    # 2025 with its seconds (ISO 8583), or milliseconds of 1977.
    "251123030405",
    251_123_030_405,
    920_125_150_000,
    # 2026 as FILETIME of Windows and as ticks of .NET, or nanoseconds of 1974 and of 1990.
    134_398_766_451_234_567,
    "134398766451234567",
    1.3439876645123456e17,
    639_157_598_451_234_567,
    Decimal(639_157_598_451_234_567),
    b"2026",
    (2026, 11, 23),
]


@pytest.mark.parametrize(("given_time", "stored"), READ, ids=repr)
def test_a_time_is_read_as_its_source_meant_it(given_time: Any, stored: str) -> None:
    row = row_of(event_time=given_time)

    assert (stored, False) == (row["event_time"], "metadata" in row)


@pytest.mark.parametrize("given_time", NOT_READ, ids=lambda value: repr(value)[:30])
def test_an_unclear_time_is_kept_and_never_guessed(given_time: Any) -> None:
    row = row_of(event_time=given_time)

    assert (EXACT, True) == (row["event_time"], "event_time" in row["metadata"]["_invalid"])


def counts_a_calendar(digits: str) -> bool:
    """Return whether *digits* may be year, month, day, hour, minute and second, two of each."""
    _, month, day, hour, minute, second = (int(digits[n : n + 2]) for n in range(0, 12, 2))
    return 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
@given(moment=st.integers(31_536_000, int(NOW.timestamp())))
def test_each_number_has_one_unit(unit: int, moment: int) -> None:
    # These milliseconds of 1976 may also be a day, an hour and a minute of 1970 to 2099.
    assume(unit != 10**3 or not 197_000_000 <= moment < 210_000_000)
    # So may some of 1973 to 2001, with two digits of the year, and a second.
    assume(len(digits := str(moment * unit)) != 12 or not counts_a_calendar(digits))
    # These nanoseconds of 1973 and 1974, 1989 and 1990 may also be ticks of 1971 to 2026.
    assume(unit != 10**9 or not 116_760_096 <= moment < 135_000_000)
    assume(unit != 10**9 or not 621_671_328 <= moment < 640_000_000)
    expected = datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.000000")

    assert expected == Times(NOW.timestamp).read(moment * unit)


@given(moment=st.datetimes(datetime(1971, 1, 2), datetime(2026, 11, 22)))  # noqa: DTZ001  # UTC below
def test_other_spellings_of_a_moment_are_read_as_the_same(moment: datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=timezone.utc)
    year, week, day = moment.isocalendar()
    read = Times(NOW.timestamp).read

    assert {read(moment)} == {
        read(format_datetime(moment)),
        read(format_datetime(moment, usegmt=True)),
        read(f"{moment:%d/%b/%Y:%H:%M:%S %z}"),
        read(f"{year}-W{week:02}-{day}T{moment:%H:%M:%S}Z"),
    }


def test_a_scalar_of_numpy_is_read_as_the_value_in_it() -> None:
    class Scalar:
        def item(self) -> int:
            return 1_795_403_045_123

    assert MILLIS == row_of(event_time=Scalar())["event_time"]
