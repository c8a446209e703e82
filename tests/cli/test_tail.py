"""``tail``: the latest events, and new ones."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from audit_handler import AuditHandler
from tests.support.commands import audit, command, environment_with, run
from tests.support.loopback import LoopbackClickHouse

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


def test_tail_shows_the_newest_last(trail_dsn: str) -> None:
    events = json.loads(run("tail", "--dsn", trail_dsn, "-n", 2, "--json").stdout)["events"]

    assert [5, 6] == [event["seq"] for event in events]


@contextmanager
def following(dsn: str) -> Iterator[subprocess.Popen[str]]:
    """Start ``tail -f``, wait for its first line, which shows that it is connected; end it."""
    tail = subprocess.Popen(
        command("tail", "-f", "-n", 1, "--interval", 0.1, "--json", "--dsn", dsn),
        env=environment_with({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert tail.stdout is not None
        assert "DELETE" == json.loads(tail.stdout.readline())["action"]
        yield tail
    finally:
        tail.kill()
        tail.communicate()


def next_event(tail: subprocess.Popen[str]) -> dict[str, Any]:
    assert tail.stdout is not None
    event: dict[str, Any] = json.loads(tail.stdout.readline())
    return event


def test_tail_follows_new_events_until_it_is_interrupted(
    own_trail_dsn: str, make_handler: Callable[..., AuditHandler]
) -> None:
    with following(own_trail_dsn) as tail:
        handler = make_handler(own_trail_dsn)
        audit(handler, action="ARRIVE")
        assert handler.flush(30.0)
        arrived = next_event(tail)
        tail.send_signal(signal.SIGINT)
        rest = tail.communicate(timeout=30)

    assert ("ARRIVE", 0, ("", "")) == (arrived["action"], tail.returncode, rest)


def test_tail_shows_every_event_of_a_burst_and_the_events_after_it(
    own_trail_dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    """A burst has more rows than one query fetches. ``tail`` stopped before the rest."""
    burst = (
        f"INSERT INTO {database}.audit_logs (event_id, event_time, action, seq) "
        "SELECT generateUUIDv7(number), now64(6), '{}', number FROM numbers({})"
    )
    with following(own_trail_dsn) as tail:
        faults.command(burst.format("BURST", 12_000))
        first = [next_event(tail)["seq"] for _ in range(12_000)]
        faults.command(burst.format("LATER", 1))
        later = next_event(tail)["action"]

    assert list(range(12_000)) == sorted(first)
    assert "LATER" == later


def test_tail_continues_after_a_failure_and_reports_it_once(
    own_trail_dsn: str, faults: LoopbackClickHouse, make_handler: Callable[..., AuditHandler]
) -> None:
    looks = "^SELECT .*ingested_at >="
    with following(own_trail_dsn) as tail:
        assert tail.stderr is not None
        faults.fault("http_status", status=502, match=looks, times=-1)
        failed = tail.stderr.readline()
        seen = len(faults.requests(match=looks))
        faults.wait_for_request(match=looks, count=seen + 2)
        faults.clear_faults()
        again = tail.stderr.readline()
        handler = make_handler(own_trail_dsn)
        audit(handler, action="ARRIVE")
        assert handler.flush(30.0)
        arrived = next_event(tail)

    assert ("HTTP status 502", "trying again\n") == (failed[:15], failed[-13:])
    assert ("ClickHouse answers again\n", "ARRIVE") == (again, arrived["action"])
