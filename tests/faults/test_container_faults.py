"""
Faults of two shards in Docker, each a container on one network: one is killed, frozen, or cut off.

Where no Docker runs, or it lacks the image that ``make container`` makes, these are skipped.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.counting import Counting
from tests.faults.staging import trials
from tests.support.listening.containers import ListeningContainer, TwoShardContainers

pytestmark = [pytest.mark.once, pytest.mark.integration, pytest.mark.timeout(1_800)]

CONTAINERS = "one of two shards in Docker fails during inserts"
FAULTS = {
    "killed": (ListeningContainer.kill, ListeningContainer.restart),
    "paused": (ListeningContainer.pause, ListeningContainer.resume),
    "cut off the network": (ListeningContainer.cut_off, ListeningContainer.join_again),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_container_fails_during_inserts(
    two_containers: TwoShardContainers,
    make_counting_on_shards: Callable[..., Counting],
    database: str,
    judge_shards: Callable[..., None],
    fault: str,
) -> None:
    """
    First the one that the handler inserts into, then the one that it does not know.

    A shard that is paused or cut off closes no connection, so only a timeout ends the insert.
    """
    victims = two_containers.servers * min(5, trials(1))
    app = make_counting_on_shards(two_containers, database)
    app.outlive(victims, *FAULTS[fault])

    judge_shards(
        CONTAINERS,
        f"each in turn is {fault}",
        two_containers,
        database,
        app.acknowledged,
        len(victims),
    )
