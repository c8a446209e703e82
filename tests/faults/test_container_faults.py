"""
Faults of two shards in Docker, each a container on one network: one is cut off.

That one is killed is tested without Docker, in ``test_real_server_faults.py``.

Where no Docker runs, or it lacks the image that ``make container`` makes, these are skipped.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.counting import Counting
from tests.faults.staging import Judge, Lines, trials
from tests.support.listening.containers import TwoShardContainers

pytestmark = [pytest.mark.once, pytest.mark.integration, pytest.mark.timeout(1_800)]

CONTAINERS = "one of two shards in Docker is cut off the network during inserts"


def test_a_container_is_cut_off_during_inserts(
    two_containers: TwoShardContainers,
    make_counting: Callable[..., Counting],
    database: str,
    lines: Lines,
    judge: Judge,
) -> None:
    """
    First the one that the handler inserts into, then the one that it does not know.

    A shard that is cut off closes no connection, so only a timeout ends the insert.
    """
    victims = two_containers.servers * min(5, trials(1))
    app = make_counting(
        two_containers.dsn(database),
        cluster="{cluster}",
        create_table=False,
        client_options={"send_receive_timeout": 5},
    )
    with app.running():
        for time, victim in enumerate(victims, start=1):
            app.wait_until_sending()
            victim.cut_off()
            lines.wait("does not accept rows", time)
            victim.join_again()
            lines.wait("accepts rows again", time)
    assert app.handler.flush(120.0)
    on_shards = two_containers.local_counts(database)

    assert len(app.acknowledged) == sum(on_shards)
    assert all(on_shards)
    judge(
        CONTAINERS,
        "no network: each shard in turn",
        two_containers,
        f"{database}.audit_logs",
        app.acknowledged,
        trials=len(victims),
    )
