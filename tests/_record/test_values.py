"""A value is written in the form that its column stores, or goes to ``metadata._invalid``."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, auto
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_handler._record.redaction import Redactor
from audit_handler._record.values import Addresses
from tests.support.records import (
    NOW,
    decoded,
    encoder_with,
    record_of,
    row_of,
)


class Outcome(Enum):
    UNKNOWN = "unknown"


class Verb(Enum):
    PAY = auto()


class Step(IntEnum):
    SHIP = auto()


class Role(str, Enum):
    ADMIN = "administrator"


class Rights(Flag):
    READ = auto()


class Known(Enum):
    CRON = 17


class Ended(Enum):
    SUCCESS = auto()


class StatusCode(Enum):
    """Like ``grpc.StatusCode``."""

    NOT_FOUND = (5, "not found")


EVENT_ID = "01939e8c-6f2a-7c3e-8000-000000000001"


HELD = [
    ("status_code", 0, 0),
    ("status_code", 65_535, 65_535),
    ("status_code", "201", 201),
    ("status_code", HTTPStatus.CREATED, 201),
    ("response_time_ms", 2**32 - 1, 2**32 - 1),
    ("response_time_ms", 12.7, 13),
    ("response_time_ms", Decimal("12.7"), 13),
    ("ip_address", "10.1.2.3", "10.1.2.3"),
    ("ip_address", "2001:DB8::1", "2001:DB8::1"),
    ("ip_address", "::ffff:10.1.2.3", "::ffff:10.1.2.3"),
    ("ip_address", IPv4Address("10.1.2.3"), "10.1.2.3"),
    ("ip_address", IPv6Address("::1"), "::1"),
    ("event_id", EVENT_ID, EVENT_ID),
    ("event_id", EVENT_ID.replace("-", ""), EVENT_ID),
    ("event_id", uuid.UUID(EVENT_ID), EVENT_ID),
    ("event_id", "{" + EVENT_ID.upper() + "}", EVENT_ID),
    ("outcome", "success", "success"),
    ("outcome", "FAILURE", "failure"),
    ("outcome", Outcome.UNKNOWN, "unknown"),
    ("outcome", Ended.SUCCESS, "success"),
    ("status_code", StatusCode.NOT_FOUND, 5),
    ("status_code", Known.CRON, 17),
    ("action", Verb.PAY, "PAY"),
    ("action", Step.SHIP, "SHIP"),
    ("agent_role", Role.ADMIN, "administrator"),
    ("agent_role", Rights.READ, "READ"),
    ("agent_id", Known.CRON, "17"),
    ("resource_id", Role.ADMIN, "administrator"),
    ("event_time", NOW, "2026-11-23 03:04:05.123456"),
    ("event_time", NOW.replace(tzinfo=None), "2026-11-23 03:04:05.123456"),
    (
        "event_time",
        NOW.astimezone(timezone(timedelta(hours=5, minutes=30))),
        "2026-11-23 03:04:05.123456",
    ),
    ("event_time", date(2026, 11, 23), "2026-11-23 00:00:00.000000"),
    ("event_time", "2026-11-23T03:04:05.123456Z", "2026-11-23 03:04:05.123456"),
    ("event_time", "2026-11-23 04:04:05+01:00", "2026-11-23 03:04:05.000000"),
    ("event_time", 1_795_000_000, "2026-11-18 11:06:40.000000"),
    ("event_time", 1_795_000_000.000001, "2026-11-18 11:06:40.000001"),
    ("event_time", "2020-01-01", "2020-01-01 00:00:00.000000"),
    ("event_time", NOW + timedelta(days=1), "2026-11-24 03:04:05.123456"),
]


NOT_HELD = [
    ("status_code", 65_536),
    ("status_code", -1),
    ("status_code", True),
    ("status_code", float("nan")),
    ("status_code", float("inf")),
    ("status_code", "OK"),
    ("status_code", "12.7"),
    ("status_code", [200]),
    ("status_code", 10**400),
    ("response_time_ms", 2**32),
    ("response_time_ms", -0.6),
    ("response_time_ms", timedelta(seconds=1)),
    ("ip_address", "n/a"),
    ("ip_address", "999.1.1.1"),
    ("ip_address", 5),
    ("ip_address", ("10.1.2.3", "eth0")),
    ("ip_address", ("localhost", 80)),
    ("status_code", Outcome.UNKNOWN),
    ("ip_address", "1" * 100_000),
    ("event_id", "junk"),
    ("event_id", 5),
    ("event_id", EVENT_ID + "0"),
    ("outcome", "fine"),
    ("outcome", True),
    ("event_time", "yesterday"),
    ("event_time", "2026-02-30"),
    ("event_time", datetime(9999, 12, 31, tzinfo=timezone.utc)),
    ("event_time", datetime(1, 1, 1, tzinfo=timezone.utc)),
    ("event_time", "1970-12-31T23:59:59.999999Z"),
    ("event_time", NOW + timedelta(days=1, microseconds=1)),
    ("event_time", float("nan")),
    ("event_time", True),
]


@pytest.mark.parametrize(("name", "value", "expected"), HELD)
def test_a_value_is_written_as_its_column_takes_it(name: str, value: Any, expected: Any) -> None:
    row = row_of({name: value})

    assert (expected, False) == (row[name], "metadata" in row)


@pytest.mark.parametrize(("name", "value"), NOT_HELD, ids=lambda value: repr(value)[:30])
def test_a_value_that_its_column_cannot_hold_is_kept_in_metadata(name: str, value: Any) -> None:
    default = row_of().get(name)

    row = decoded(encoder_with(max_value_bytes=1_000_000), record_of({name: value}))
    row.pop("event_id") if name == "event_id" else None

    assert (Redactor().clean(value), None if name == "event_id" else default) == (
        row["metadata"]["_invalid"][name],
        row.get(name),
    )


@pytest.mark.parametrize(
    ("value", "expected"), [(("10.1.2.3", 80), "10.1.2.3"), (["::1", 80, 0, 0], "::1")]
)
def test_the_address_of_a_socket_is_stored_and_its_port_kept(value: Any, expected: str) -> None:
    row = row_of(ip_address=value)

    assert (expected, {"ip_address.given": list(value)}) == (row["ip_address"], row["metadata"])


def test_a_member_with_a_number_is_kept_as_its_number_in_metadata() -> None:
    assert {"step": 1} == row_of(step=Step.SHIP)["metadata"]


def test_an_event_with_a_bad_id_gets_a_good_one() -> None:
    assert 7 == uuid.UUID(row_of(event_id="junk")["event_id"]).version


@pytest.mark.parametrize("created", [0.0, 1e12, float("nan"), None, "now", 10**400])
def test_a_record_of_an_impossible_time_is_stored_now(created: Any) -> None:
    row = decoded(encoder_with(), record_of(created=created))

    assert ("2026-11-23 03:04:05.123456", Redactor().clean(created)) == (
        row["event_time"],
        row["metadata"]["_invalid"]["event_time"],
    )


@given(
    st.datetimes(
        datetime.fromisoformat("1971-01-01"),
        NOW.replace(tzinfo=None),
        timezones=st.just(timezone.utc),
    )
)
def test_times_are_exact_to_the_microsecond(moment: datetime) -> None:
    encoder = encoder_with()
    expected = moment.strftime("%Y-%m-%d %H:%M:%S.%f")

    rows = (
        decoded(encoder, record_of(event_time=moment)),
        decoded(encoder, record_of(created=moment.timestamp())),
    )

    assert [expected] * 2 == [row["event_time"] for row in rows]


def test_a_time_is_never_rounded_into_the_next_second() -> None:
    encoder = encoder_with()

    row = decoded(encoder, record_of(created=1_795_000_000.9999998))

    assert "2026-11-18 11:06:40.999999" == row["event_time"]


def test_addresses_that_are_remembered_do_not_fill_the_memory() -> None:
    addresses = Addresses()
    addresses.read("x" * 1_000_000)

    for number in range(5_000):
        addresses.read(f"10.0.{number >> 8}.{number & 255}")

    assert (4096, True) == (len(addresses.known), max(map(len, addresses.known)) < 64)


@pytest.mark.parametrize(
    ("given_address", "stored"),
    [
        ("10.0.0.1:42781", "10.0.0.1"),
        ("[::1]:8080", "::1"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("203.0.113.7, 70.41.3.18", "203.0.113.7"),
        (" 10.1.2.3", "10.1.2.3"),
    ],
)
def test_an_address_is_stored_without_its_port_and_the_original_kept(
    given_address: str, stored: str
) -> None:
    row = row_of(ip_address=given_address)

    assert (stored, {"ip_address.given": given_address}) == (row["ip_address"], row["metadata"])
