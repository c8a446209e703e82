"""
Faults of real servers: chDB's own listeners, alone and as the two shards of a cluster.

A kill is staged in the middle of inserts: rows are logged without a pause, and the kill waits until
the spool holds a segment that is being sent. ``make faults`` kills each of them many times.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.counting import Counting
from tests.faults.staging import Judge, Lines, trials
from tests.support.listening import ListeningClickHouse
from tests.support.listening.shards import TwoShards

pytestmark = [pytest.mark.once, pytest.mark.timeout(1_800)]

SERVER = "kill -9 of a real server during inserts"
SHARDS = "kill -9 of one of two shards during inserts"


@pytest.mark.parametrize("is_async", [False, True], ids=["inserts", "async inserts"])
def test_a_real_server_is_killed_while_it_inserts(
    start_listening: Callable[..., ListeningClickHouse],
    make_counting: Callable[..., Counting],
    database: str,
    lines: Lines,
    judge: Judge,
    is_async: bool,
) -> None:
    server, kills = start_listening(), trials(3)
    app = make_counting(server.dsn(database), async_insert=is_async)
    with app.running():
        for kill in range(1, kills + 1):
            app.wait_until_sending()
            server.kill()
            lines.wait("does not accept rows", kill)
            server.restart()
            lines.wait("accepts rows again", kill)
    assert app.handler.flush(120.0)

    fault = f"kill -9 while it {'collects async' if is_async else 'takes'} inserts"
    judge(SERVER, fault, server, f"{database}.audit_logs", app.acknowledged, trials=kills)


@pytest.mark.parametrize("victim", [0, 1], ids=["the front", "the other"])
def test_one_of_two_shards_is_killed_during_inserts(
    two_shards: TwoShards,
    make_counting: Callable[..., Counting],
    database: str,
    lines: Lines,
    judge: Judge,
    victim: int,
) -> None:
    """A refused insert may claim rows that no shard holds (279): what counts is SQL on both."""
    kills = min(50, trials(3))
    app = make_counting(two_shards.dsn(database), cluster="{cluster}", create_table=False)
    with app.running():
        for kill in range(1, kills + 1):
            app.wait_until_sending()
            two_shards.servers[victim].kill()
            lines.wait("does not accept rows", kill)
            two_shards.servers[victim].restart()
            lines.wait("accepts rows again", kill)
    assert app.handler.flush(120.0)
    locals_ = two_shards.local_counts(database)

    assert len(app.acknowledged) == sum(locals_)
    assert all(locals_)
    which = "that the handler does not know" if victim else "that the handler inserts into"
    for server in two_shards.servers:
        judge(
            SHARDS,
            f"kill -9 of the one {which}, asked through shard "
            f"{two_shards.servers.index(server) + 1}",
            server,
            f"{database}.audit_logs",
            app.acknowledged,
            trials=kills,
        )


@pytest.mark.parametrize("victim", [0, 1], ids=["the front", "the other"])
def test_one_of_two_shards_stops_answering(
    two_shards: TwoShards,
    make_counting: Callable[..., Counting],
    database: str,
    lines: Lines,
    judge: Judge,
    victim: int,
) -> None:
    """
    It stays connected, so only a timeout ends the insert, and it stores what it got when it wakes:
    after a look-up that found the rows of the other one.
    """
    app = make_counting(
        two_shards.dsn(database),
        cluster="{cluster}",
        create_table=False,
        client_options={"send_receive_timeout": 2},
    )
    with app.running():
        app.wait_until_sending()
        two_shards.servers[victim].pause()
        lines.wait("does not accept rows")
        two_shards.servers[victim].resume()
        lines.wait("accepts rows again")
    assert app.handler.flush(120.0)

    assert len(app.acknowledged) == sum(two_shards.local_counts(database))
    fault = f"{'the other one' if victim else 'the one that the handler inserts into'} is paused"
    judge(SHARDS, fault, two_shards, f"{database}.audit_logs", app.acknowledged)
