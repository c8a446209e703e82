"""The real server in Docker: only this machine reaches it, and it keeps its data over kills."""

from __future__ import annotations

import pytest

from tests.support.listening.containers import TwoShardContainers

pytestmark = [pytest.mark.once, pytest.mark.integration]


def test_only_this_machine_reaches_a_container(two_containers: TwoShardContainers) -> None:
    listening = [server.listens_on() for server in two_containers.servers]

    assert [[("127.0.0.1", server.port)] for server in two_containers.servers] == listening


def test_data_port_and_peers_stay_over_a_kill(
    two_containers: TwoShardContainers, database: str
) -> None:
    first, second = two_containers.servers
    first.command("CREATE TABLE default.t (n UInt8) ENGINE = MergeTree ORDER BY n")
    first.command("INSERT INTO default.t VALUES (7)")
    first.kill()
    was_running = first.is_running
    first.restart()
    hosts = (
        f"SELECT hostName() AS host FROM clusterAllReplicas('two', system.databases) "
        f"WHERE name = '{database}' ORDER BY host"
    )

    assert not was_running
    assert [{"n": 7}] == first.query("SELECT n FROM default.t")
    assert [{"host": "shard-1"}, {"host": "shard-2"}] == first.query(hosts) == second.query(hosts)
