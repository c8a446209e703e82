"""
Real ClickHouse servers in Docker: one node, or a cluster of two shards with two replicas each.

They run the official image. If no Docker engine runs, or it neither has that image nor can pull it,
a test of what only a full server can do is skipped with the reason; with ``AUDIT_TEST_DOCKER`` set
(CI) it fails instead. ``tests.support.listening.containers`` runs an image made on this machine.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import images
from tests.support.listening import NOT_HERE
from tests.support.listening.containers import publish

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.network import Network

__all__ = ["PASSWORD", "full_server", "require_docker", "start_cluster", "url_of"]

IMAGE = "clickhouse/clickhouse-server:latest"
PASSWORD = "made-up"
CLUSTER = {"ch1": 1, "ch2": 1, "ch3": 2, "ch4": 2}
"""Hosts and their shards. Keeper runs on the first host."""

_CONFIG = """
<clickhouse>
    <remote_servers><audit>
        <secret>made-up too</secret>
        {shards}
    </audit></remote_servers>
    <macros><cluster>audit</cluster><shard>{shard}</shard><replica>{host}</replica></macros>
    <interserver_http_host>{host}</interserver_http_host>
    <zookeeper><node><host>ch1</host><port>9181</port></node></zookeeper>
    <distributed_ddl><path>/clickhouse/task_queue/ddl</path></distributed_ddl>
    {keeper}
</clickhouse>
"""
_SHARD = "<shard><internal_replication>true</internal_replication>{replicas}</shard>"
_REPLICA = "<replica><host>{host}</host><port>9000</port></replica>"
_KEEPER = """
    <keeper_server>
        <tcp_port>9181</tcp_port>
        <server_id>1</server_id>
        <log_storage_path>/var/lib/clickhouse/coordination/log</log_storage_path>
        <snapshot_storage_path>/var/lib/clickhouse/coordination/snapshots</snapshot_storage_path>
        <raft_configuration>
            <server><id>1</id><hostname>ch1</hostname><port>9234</port></server>
        </raft_configuration>
    </keeper_server>
"""


def require_docker() -> None:
    """Skip the test if Docker cannot run the official image."""
    if not _has_image():
        pytest.skip(NOT_HERE)


def full_server(request: pytest.FixtureRequest) -> str:
    """
    Return the URL of the full server that the environment names, else of one in Docker, else "".

    The one in Docker runs for as long as *request*'s scope.
    """
    if url := os.environ.get("AUDIT_TEST_CLICKHOUSE_URL"):
        return url
    if not _has_image():
        return ""
    container = _server()
    container.start()
    request.addfinalizer(container.stop)
    return url_of(container)


def start_cluster(request: pytest.FixtureRequest, directory: Path) -> dict[str, DockerContainer]:
    """
    Start the servers of `CLUSTER` for as long as *request*'s scope; return them by host.

    Their configuration is written to *directory*.
    """
    from testcontainers.core.network import Network

    network = Network()
    network.create()
    request.addfinalizer(network.remove)
    servers = {}
    for host in CLUSTER:
        path = directory / f"{host}.xml"
        path.write_text(_config(host))
        path.chmod(0o644)  # read by the server's own user
        servers[host] = _server(host, path, network)
        servers[host].start()
        request.addfinalizer(servers[host].stop)
    return servers


def url_of(container: DockerContainer) -> str:
    """Return the URL for the driver."""
    host, port = container.get_container_host_ip(), container.get_exposed_port(8123)
    return f"http://default:{PASSWORD}@{host}:{port}"


def _has_image() -> bool:
    is_required = bool(os.environ.get("AUDIT_TEST_DOCKER"))
    return is_required or images.is_here(IMAGE) or images.can_pull(IMAGE)


def _server(
    host: str = "", config: Path | None = None, network: Network | None = None
) -> DockerContainer:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import HttpWaitStrategy

    named: dict[str, Any] = {"hostname": host} if host else {}
    container = DockerContainer(IMAGE, **named)
    container.with_env("CLICKHOUSE_PASSWORD", PASSWORD)
    container.with_env("CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT", "1")
    publish(container, 8123)
    if config is not None and network is not None:
        container.with_network(network).with_network_aliases(host)
        container.with_volume_mapping(config, "/etc/clickhouse-server/config.d/cluster.xml", "ro")
    container.waiting_for(HttpWaitStrategy(8123, "/ping").for_status_code(200))
    return container


def _config(host: str) -> str:
    shards = "".join(
        _SHARD.format(
            replicas="".join(
                _REPLICA.format(host=other) for other in CLUSTER if CLUSTER[other] == shard
            )
        )
        for shard in sorted(set(CLUSTER.values()))
    )
    return _CONFIG.format(
        shards=shards, shard=CLUSTER[host], host=host, keeper=_KEEPER if host == "ch1" else ""
    )
