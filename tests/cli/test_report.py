"""``report``: the counts of a period."""

from __future__ import annotations

import json

import pytest

from tests.support.commands import run

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


def test_report_counts_events_failures_and_users(trail_dsn: str) -> None:
    made = json.loads(run("report", "--dsn", trail_dsn, "--json").stdout)

    assert (6, 1) == (made["events"], made["failures"])
    assert ["u-0", "u-1", "u-9"] == [user["agent_id"] for user in made["users"]]
    assert "6 events, 1 of them failures" in run("report", "--dsn", trail_dsn).stdout
