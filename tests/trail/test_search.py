"""Events are found by filter, in pages, and by id; reports get their counts."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from audit_handler.trail import SUMMARY, Filter, Period, Trail
from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import Connect, rows, target_of

pytestmark = pytest.mark.once

NOW = datetime.now(timezone.utc)
LATELY = Period(since=NOW - timedelta(hours=1), until=NOW + timedelta(hours=1))


def event_id(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012d}"


@pytest.fixture
def trail(faults: LoopbackClickHouse, database: str, connect: Connect) -> Trail:
    """The trail of a table with six events, and five rows more that share an id."""
    dsn = faults.dsn(database)
    clickhouse = connect(dsn)
    for number in range(1, 7):
        time = f"{NOW - timedelta(minutes=10 - number):%F %T.%f}"
        line = rows(
            number,
            event_time=time,
            action="TRY",
            outcome="failure" if number == 6 else "success",
            ip_address="192.0.2.7",
            level="Notice" if number == 5 else "INFO",
        )
        clickhouse.insert(line, token=f"t{number}")
    faults.command(
        f"INSERT INTO {database}.audit_logs (event_time, action) "
        "SELECT now() - intDiv(number, 3), 'NO_ID' FROM numbers(5)"
    )
    return Trail(clickhouse, target_of(dsn, database))


def test_the_pages_of_what_arrived_hold_each_event_also_where_they_share_an_id(
    trail: Trail,
) -> None:
    events = list(trail.arrived(Filter(period=LATELY), since=f"{LATELY.since:%F %T}", page=2))

    assert (11, 5) == (len(events), sum(event["action"] == "NO_ID" for event in events))


def test_the_pages_of_all_events_hold_each_event_also_where_they_share_an_id(
    trail: Trail,
) -> None:
    events = list(trail.every(Filter(period=LATELY), page=2))

    assert (11, 5) == (len(events), sum(event["action"] == "NO_ID" for event in events))


def test_a_page_begins_behind_the_last_event_of_the_one_before(trail: Trail) -> None:
    wanted = Filter(period=LATELY, action="TRY")
    first = trail.search(wanted, limit=4, columns=("seq", "event_id"))
    second = trail.search(wanted, limit=4, before=first[-1]["event_id"], columns=("seq",))

    assert [6, 5, 4, 3] == [event["seq"] for event in first]
    assert [{"seq": 2}, {"seq": 1}] == second


@pytest.mark.parametrize("level", ["Notice", "NOTICE", "notice"])
def test_a_level_is_found_in_any_case(trail: Trail, level: str) -> None:
    """Python's own are upper case, and an application names others as it likes."""
    found = trail.search(Filter(period=LATELY, level=level), limit=9, columns=("seq",))

    assert [{"seq": 5}] == found


def test_a_page_behind_an_event_that_is_not_there_is_a_lookup_error(trail: Trail) -> None:
    with pytest.raises(LookupError, match=event_id(99)):
        trail.search(Filter(period=LATELY), limit=1, before=event_id(99))


def test_an_event_is_found_by_its_id_with_plain_values(trail: Trail) -> None:
    found = trail.event(event_id(1))

    assert found is not None
    assert set(SUMMARY) <= found.keys()
    assert (event_id(1), "192.0.2.7", f"{NOW - timedelta(minutes=9):%F %T.%f}") == (
        found["event_id"],
        found["ip_address"],
        found["event_time"],
    )
    assert trail.event(event_id(99)) is None


def test_events_that_arrived_before_are_left_out(trail: Trail) -> None:
    later = f"{NOW + timedelta(days=1):%F %T}"

    assert [] == list(trail.arrived(Filter(period=LATELY), since=later))
    assert f"{NOW:%F}" <= trail.server_time()


def test_activity_is_counted_by_hour_with_failures(trail: Trail) -> None:
    hours = trail.activity_by_hour(LATELY)

    assert (11, 1) == (
        sum(hour["events"] for hour in hours),
        sum(hour["failures"] for hour in hours),
    )
    assert all(hour["hour"].endswith(":00:00.000000") for hour in hours)
