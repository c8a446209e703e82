"""The options --since and --until."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import click
import pytest
from click.testing import CliRunner

from audit_handler.cli._periods import period_options
from audit_handler.trail import Period
from tests.support.commands import run

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]

NOON = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)


def parsed(*arguments: str) -> Period:
    """Return the period that a command gets with *arguments*."""
    periods: list[Period] = []

    @click.command()
    @period_options
    def command(period: Period) -> None:
        periods.append(period)

    assert 0 == CliRunner().invoke(command, arguments).exit_code
    return periods[0]


@pytest.mark.parametrize(
    "text", ["2026-11-23T12:00", "2026-11-23T12:00:00Z", "2026-11-23 13:00+01:00"]
)
def test_a_time_is_in_utc_unless_it_names_a_zone(text: str) -> None:
    assert NOON == parsed("--since", "2026-11-22", "--until", text).until


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("30m", timedelta(minutes=30)),
        ("30 min", timedelta(minutes=30)),
        ("24h", timedelta(days=1)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
    ],
)
def test_an_age_counts_back_from_now(text: str, age: timedelta) -> None:
    before = datetime.now(timezone.utc)
    since = parsed("--since", text).since
    after = datetime.now(timezone.utc)

    assert before - age <= since <= after - age


def test_no_until_includes_an_event_of_a_clock_that_is_ahead() -> None:
    assert parsed().until > datetime.now(timezone.utc) + timedelta(hours=23)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "yesterday"], "'yesterday' is not a time; use 30m"),
        (["--since", "2026-11-23", "--until", "2026-11-22"], "the period between them is empty"),
        (["--since", "1969-01-01"], "must lie between 1970 and 2148"),
    ],
)
def test_an_impossible_period_is_exit_code_2(arguments: list[str], message: str) -> None:
    result = run("search", "--dsn", "http://127.0.0.1:1", *arguments)

    assert (2, True) == (result.exit_code, message in " ".join(result.stderr.split()))
