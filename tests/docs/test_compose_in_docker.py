"""The compose files start servers that the handler and the command line work with."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_handler import AuditHandler
from tests.support.commands import audit, program
from tests.support.compose import running
from tests.support.tables import count

pytestmark = [pytest.mark.once, pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture
def environment() -> dict[str, str]:
    return {"CLICKHOUSE_PASSWORD": uuid.uuid4().hex, "CLUSTER_SECRET": uuid.uuid4().hex}


def test_one_node_keeps_rows_when_its_container_is_made_again(
    environment: dict[str, str], make_handler: Callable[..., AuditHandler], tmp_path: Path
) -> None:
    with running("one-node.yaml", environment, tmp_path) as server:
        dsn = "http://audit_admin@127.0.0.1:8123"  # as the file says
        init = program("init", "--dsn", dsn, environment=environment)
        handler = make_handler(server.dsn(), create_table=False)
        for _ in range(10):
            audit(handler)
        was_delivered = handler.flush()
        server.down(with_data=False)
        server.up()

        assert 0 == init.returncode, init.stderr
        assert was_delivered
        assert 10 == count(server, "audit_db")


def test_the_servers_of_the_cluster_know_each_other_and_their_macros(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with running("cluster.yaml", environment, tmp_path) as servers:
        found = servers.query(
            "SELECT getMacro('cluster') AS cluster, getMacro('shard') AS shard, "
            "getMacro('replica') AS replica "
            "FROM clusterAllReplicas('audit', system.one) ORDER BY shard "
            # The second server may need some seconds more to start.
            "SETTINGS connections_with_failover_max_tries = 100"
        )

    assert [
        {"cluster": "audit", "shard": "1", "replica": "ch1"},
        {"cluster": "audit", "shard": "2", "replica": "ch2"},
    ] == found
