"""How ``search`` and ``tail`` print events, in every format and at every width."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from io import StringIO

import pytest

from tests.support.commands import found, run

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


@pytest.fixture(scope="module")
def long_dsn(make_trail: Callable[..., str]) -> str:
    """The six events, and one with a long user and a long message."""
    return make_trail({"agent_id": "a-user-with-a-long-name", "msg": "long " * 600})


@pytest.mark.parametrize("name", ["search", "tail"])
def test_every_format_holds_every_event(name: str, trail_dsn: str) -> None:
    told = {
        form: run(name, "--dsn", trail_dsn, "--format", form).stdout
        for form in ("table", "json", "csv", "ndjson")
    }
    ids = sorted(str(event["event_id"]) for event in found("--dsn", trail_dsn))

    assert [] == [each for each in ids if each not in told["table"]]
    assert ids == sorted(event["event_id"] for event in json.loads(told["json"])["events"])
    assert ids == sorted(row["event_id"] for row in csv.DictReader(StringIO(told["csv"])))
    assert ids == sorted(json.loads(line)["event_id"] for line in told["ndjson"].splitlines())


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("name", ["search", "tail"])
def test_events_can_be_read_at_every_width_of_the_terminal(
    name: str, width: int, long_dsn: str
) -> None:
    """Columns were squeezed to nothing at 80, and a long message filled 200 lines."""
    shown = run(name, "--dsn", long_dsn, env={"COLUMNS": str(width)}).stdout
    ids = [str(event["event_id"]) for event in found("--dsn", long_dsn)]

    assert 7 == len(ids)
    assert [] == [each for each in ids if each not in shown]
    assert ("o-4" in shown, "DELETE" in shown) == (True, True)
    assert len(shown.splitlines()) < 20
    assert max(map(len, shown.splitlines())) < 320
