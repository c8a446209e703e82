"""A filter becomes conditions and bound parameters; no value is ever part of the SQL."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import datetime, timedelta, timezone

import pytest

from audit_handler.trail import Filter, Period

DAY = Period(
    since=datetime(2026, 11, 23, 1, tzinfo=timezone(timedelta(hours=1))),
    until=datetime(2026, 11, 24, tzinfo=timezone.utc),
)
EVIL = "x') OR ('1' = '1"


def test_a_period_is_given_in_utc_with_microseconds() -> None:
    assert {
        "since": "2026-11-23 00:00:00.000000",
        "until": "2026-11-24 00:00:00.000000",
    } == DAY.parameters()


def test_an_empty_filter_asks_for_the_period_only() -> None:
    (condition,), parameters = Filter(period=DAY).where()

    assert DAY.parameters() == parameters
    assert "event_time < {until:" in condition


@pytest.mark.parametrize("name", [field.name for field in fields(Filter) if field.name != "period"])
def test_every_field_adds_a_condition_and_its_value_as_a_parameter(name: str) -> None:
    value = 400 if name == "min_status" else EVIL
    conditions, parameters = Filter(period=DAY, **{name: value}).where()  # type: ignore[arg-type]  # by name
    added = [each for each in parameters if each not in DAY.parameters()]

    assert 2 == len(conditions)
    assert [value] == [parameters[each] for each in added]
    assert EVIL not in conditions[1]
    assert set(added) == set(re.findall(r"\{(\w+):", conditions[1]))


def test_all_fields_must_hold() -> None:
    conditions, _ = Filter(period=DAY, user="u-1", action="PAY", text="tea").where()

    assert 4 == len(conditions)
