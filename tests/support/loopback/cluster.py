"""
A cluster in one process: the features that chDB has. Real servers test the others.

The cluster ``one`` has a single shard, this process; ``half_dead`` has a second one where nothing
listens. Two shards on one table would share its deduplication log and lose rows. The keeper is
ClickHouse's own for tests: replicated tables can be created with it, and are read-only.

``ON CLUSTER`` needs a server's DDL worker, so `on_one_server` removes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audit_handler.clickhouse import ClickHouse

__all__ = ["OneServer", "on_one_server", "unreplicated", "write_config"]

_CONFIG = """
<clickhouse>
    <tcp_port>9000</tcp_port> <!-- nothing listens there; a shard on this port is this process -->
    <remote_servers>
        <one><shard>
            <internal_replication>true</internal_replication>
            <replica><host>localhost</host><port>9000</port></replica>
        </shard></one>
        <half_dead>
            <shard><replica><host>localhost</host><port>9000</port></replica></shard>
            <shard><replica><host>127.0.0.1</host><port>1</port></replica></shard>
        </half_dead>
    </remote_servers>
    <macros><cluster>one</cluster><shard>1</shard><replica>r1</replica></macros>
    <zookeeper><implementation>testkeeper</implementation></zookeeper>
    <backups><allowed_disk>backups</allowed_disk></backups>
    <storage_configuration><disks>
        <backups><type>local</type><path>{backups}/</path></backups>
    </disks></storage_configuration>
    {users}
</clickhouse>
"""
_USERS = """
<clickhouse>
    <profiles><default>{settings}</default></profiles>
    <quotas><default/></quotas>
    <users><default>
        <password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
        <grants>{grants}</grants>
    </default></users>
</clickhouse>
"""


def write_config(
    directory: Path, grants: Sequence[str] = (), settings: Mapping[str, object] | None = None
) -> Path:
    """
    Write the configuration into *directory*, with a disk for backups there; return its path.

    Args:
        grants: Statements like ``GRANT SELECT ON a.b``: the only grants of each user.
        settings: Settings of the profile of each user.
    """
    users = ""
    if grants or settings:
        queries = "".join(f"<query>{grant}</query>" for grant in grants or ["GRANT ALL ON *.*"])
        profile = "".join(f"<{name}>{value}</{name}>" for name, value in (settings or {}).items())
        (directory / "users.xml").write_text(_USERS.format(grants=queries, settings=profile))
        users = f"<users_config>{directory / 'users.xml'}</users_config>"
    path = directory / "cluster.xml"
    path.write_text(_CONFIG.format(backups=directory / "backups", users=users))
    return path


def on_one_server(sql: str, cluster: str = "{cluster}") -> str:
    """Return *sql* for one server."""
    return sql.replace(f" ON CLUSTER '{cluster}'", "")


def unreplicated(sql: str) -> str:
    """Return *sql* with a table that accepts rows instead of a replicated one."""
    engine, _, rest = sql.partition("ENGINE = ReplicatedMergeTree(")
    if not rest:
        return sql
    rest = rest.partition("\n")[2].replace(
        "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800",
        "non_replicated_deduplication_window = 10000",
    )
    return f"{engine}ENGINE = MergeTree\n{rest}"


class OneServer:
    """A connection for `changes` and `upgrade` that runs a cluster's statements on one server."""

    def __init__(self, clickhouse: ClickHouse, cluster: str = "{cluster}") -> None:
        self._clickhouse = clickhouse
        self._cluster = cluster

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        return self._clickhouse.query(sql, parameters)

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        self._clickhouse.command(unreplicated(on_one_server(sql, self._cluster)), parameters)
