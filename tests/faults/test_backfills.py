"""
Backfills: events of many months, in any order, while connections break, and rejected rows at their
limit. Each acknowledged row is stored once, or counted.
"""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from datetime import date, timedelta
from itertools import cycle

import pytest

from audit_handler.schema import statements
from tests.faults.staging import Application, Judge, trials
from tests.support.delivery import refuse_strangers
from tests.support.loopback import LoopbackClickHouse
from tests.support.programs import World

# `make faults` has a hundred rounds.
pytestmark = [pytest.mark.once, pytest.mark.timeout(1_800)]

MakeApplication = Callable[..., Application]

BACKFILL = "a backfill of many months, in any order"
REJECTED = "more rows rejected than may be kept"

BROKEN = ["reset_before", "reset_during", "close_before", "execute_then_reset"]


def moment(month: int, second: int = 0) -> str:
    """Return a time in the month *month* months after January 2016."""
    year, index = divmod(month, 12)
    return f"{2016 + year}-{index + 1:02d}-15 12:{second // 60 % 60:02d}:{second % 60:02d}"


@pytest.mark.parametrize("kind", BROKEN)
def test_two_months_alternate_while_each_insert_breaks_once(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge, kind: str
) -> None:
    app = make_application(faults, batch_size=100)
    app.audit(1)
    assert app.handler.flush()
    faults.fault(kind, match=app.insert, times=10)
    for number in range(500):
        app.audit(1, event_time=moment(117 + number % 2, number))
    assert app.handler.flush(60.0)

    assert any(entry["fault"] for entry in app.inserts())
    # One insert for each hundred rows and each fault, not one for each change of month; and parts,
    # if a flush or the interval sealed a segment early.
    assert len(app.inserts()) < 50
    fault = f"two months alternate, and inserts meet {kind.replace('_', ' ')}"
    judge(BACKFILL, fault, faults, app.table, app.acknowledged)


def test_five_years_in_a_random_order_with_any_mix_of_broken_connections(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    chance = random.Random(20261127)  # the same in every run
    rounds = trials(3)
    app = make_application(faults, batch_size=200)
    app.audit(1)
    assert app.handler.flush()
    for _ in range(rounds):
        for _ in range(4):
            faults.fault(chance.choice(BROKEN), match=app.insert, skip=chance.randrange(3))
        for number in range(400):
            app.audit(1, event_time=moment(chance.randrange(60, 120), number))
        assert app.handler.flush(60.0)

    assert any(entry["fault"] for entry in app.inserts())
    fault = "five years in a random order, and any mix of broken connections"
    judge(BACKFILL, fault, faults, app.table, app.acknowledged, trials=rounds)


def test_more_months_than_one_insert_may_have(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    """ClickHouse rejects an insert into more than 100 partitions."""
    app = make_application(faults, batch_size=1_000)
    faults.fault("execute_then_reset", match=app.insert, times=2)
    for month, _ in zip(cycle(range(130)), range(260), strict=False):
        app.audit(1, event_time=moment(month))
    assert app.handler.flush(60.0)

    assert 0 == app.handler.status().rows_rejected
    judge(BACKFILL, "130 months in turn, and lost answers", faults, app.table, app.acknowledged)


def test_a_table_partitioned_by_day_gets_many_days_in_few_inserts(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    """Rows of one insert are close in time: cut by number, each part would have too many days."""
    app = make_application(faults, batch_size=450, flush_interval_ms=60_000)
    for statement in statements(app.handler.settings.target):
        faults.command(statement.replace("toYYYYMM(event_date)", "event_date"))
    faults.fault("execute_then_reset", match=app.insert, times=2)
    days = [date(2025, 1, 1) + timedelta(days=number % 150) for number in range(450)]
    random.Random(20261127).shuffle(days)
    for day in days:
        app.audit(1, event_time=f"{day} 12:00:00")
    assert app.handler.flush(60.0)

    # 150 and 75 days: 1 + 2, and one more for a lost answer. By number: 15.
    assert len(app.inserts()) <= 5
    parts = f"SELECT uniqExact(partition) AS n FROM system.parts WHERE database = '{app.database}'"
    assert 150 == faults.query(parts)[0]["n"]
    judge(
        BACKFILL, "150 days in any order, one partition each", faults, app.table, app.acknowledged
    )


def test_every_row_is_accounted_for_when_the_rejected_ones_have_no_space(
    faults: LoopbackClickHouse, make_application: MakeApplication, judge: Judge
) -> None:
    """While months alternate and answers get lost."""
    limits = {"batch_size": 20, "max_rejected_bytes": 10_000}
    app = make_application(faults, **limits)
    refuse_strangers(faults, app.handler)
    faults.fault("execute_then_reset", match=app.insert, times=2, skip=2)
    for number in range(100):
        who = "u-1" if number % 5 else "stranger"
        app.audit(1, agent_id=who, event_time=moment(110 + number % 3, number))
    assert not app.handler.flush(60.0)
    status = app.handler.status()

    bad = range(0, 100, 5)
    spool = app.handler.settings.spool_dir
    assert spool is not None
    kept = [
        int(json.loads(line)["resource_id"])
        for path in spool.rglob("rejected/*.ndjson")
        for line in path.read_bytes().splitlines()
    ]
    assert {"RejectedFull": status.rows_dropped} == status.drops
    assert 0 < len(kept) < len(bad)
    assert set(kept) <= set(bad)
    assert (100, 0, 80, len(kept), len(bad) - len(kept)) == (
        status.rows_emitted,
        status.rows_waiting,
        status.rows_stored,
        status.rows_rejected,
        status.rows_dropped,
    )
    assert sum(each.stat().st_size for each in spool.rglob("rejected/*")) <= 10_000
    fault = f"{len(kept)} of {len(bad)} kept, the others counted, answers lost"
    judge(REJECTED, fault, faults, app.table, app.acknowledged, reported=bad)


ALTERNATING = """
import itertools

for number in itertools.count(FIRST):
    log.info("n", extra={
        "action": "COUNT", "resource_type": "number", "resource_id": str(number),
        "event_time": f"2025-{number % 2 + 1:02d}-15 12:00:{number // 2 % 60:02d}",
    })
    os.write(1, b"%d\\n" % number)
"""


@pytest.mark.timeout(1_800)
def test_the_application_is_killed_in_a_backfill(
    world: World, faults: LoopbackClickHouse, judge: Judge
) -> None:
    """
    The server goes on with the insert of a killed process. It stores one month after the other, and
    the next process may look between the two.
    """
    kills, chance = trials(3), random.Random(20261127)
    acknowledged: list[int] = []
    for kill in range(kills):
        insert = rf"^\s*INSERT INTO `{world.database}`"
        faults.fault("execute_then_reset", match=insert, skip=chance.randrange(3))
        with world.start(f"FIRST = {kill * 1_000_000}" + ALTERNATING) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(chance.randrange(200, 2_000))]
            process.send_signal(signal.SIGKILL)
            lines += process.stdout.readlines()
        assert -signal.SIGKILL == process.returncode
        acknowledged += [int(line) for line in lines if line.endswith(b"\n")]
    faults.clear_faults()
    world.finish()

    fault = "kill -9 while two months alternate, and answers get lost"
    judge(BACKFILL, fault, faults, world.table, acknowledged, trials=kills, surplus=kills)
