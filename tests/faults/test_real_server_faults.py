"""
Faults of real servers: chDB's own listeners, alone and as the two shards of a cluster.

Each comes in the middle of inserts: rows are logged without a pause, and the fault waits until the
spool holds a segment that is being sent. ``make faults`` kills each of them many times.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.counting import Counting
from tests.faults.staging import Judge, trials
from tests.support.listening import ListeningClickHouse
from tests.support.listening.shards import TwoShards

pytestmark = [pytest.mark.once, pytest.mark.timeout(1_800)]

SERVER = "kill -9 of a real server during inserts"
SHARDS = "one of two shards is killed or paused during inserts"

on_each_shard = pytest.mark.parametrize(
    ("victim", "which"),
    [(0, "the one that the handler inserts into"), (1, "the one that it does not know")],
    ids=["the front", "the other"],
)


@pytest.mark.parametrize("is_async", [False, True], ids=["inserts", "async inserts"])
def test_a_real_server_is_killed_while_it_inserts(
    start_listening: Callable[..., ListeningClickHouse],
    make_counting: Callable[..., Counting],
    database: str,
    judge: Judge,
    is_async: bool,
) -> None:
    server, kills = start_listening(), trials(3)
    app = make_counting(server.dsn(database), async_insert=is_async)
    app.outlive([server] * kills, ListeningClickHouse.kill, ListeningClickHouse.restart)

    fault = f"kill -9 while it {'collects async' if is_async else 'takes'} inserts"
    judge(SERVER, fault, server, f"{database}.audit_logs", app.acknowledged, trials=kills)


@on_each_shard
def test_one_of_two_shards_is_killed_during_inserts(
    two_shards: TwoShards,
    make_counting_on_shards: Callable[..., Counting],
    database: str,
    judge_shards: Callable[..., None],
    victim: int,
    which: str,
) -> None:
    """A refused insert may claim rows that no shard holds (279): what counts is SQL on both."""
    kills = min(50, trials(3))
    app = make_counting_on_shards(two_shards, database)
    victims = [two_shards.servers[victim]] * kills
    app.outlive(victims, ListeningClickHouse.kill, ListeningClickHouse.restart)

    judge_shards(SHARDS, f"kill -9 of {which}", two_shards, database, app.acknowledged, kills)


@on_each_shard
def test_one_of_two_shards_stops_answering(
    two_shards: TwoShards,
    make_counting_on_shards: Callable[..., Counting],
    database: str,
    judge_shards: Callable[..., None],
    victim: int,
    which: str,
) -> None:
    """
    It stays connected, so only a timeout ends the insert, and it stores what it got when it wakes:
    after a look-up that found the rows of the other one.
    """
    pauses = min(10, trials(1))
    app = make_counting_on_shards(two_shards, database)
    victims = [two_shards.servers[victim]] * pauses
    app.outlive(victims, ListeningClickHouse.pause, ListeningClickHouse.resume)

    judge_shards(SHARDS, f"pause of {which}", two_shards, database, app.acknowledged, pauses)
