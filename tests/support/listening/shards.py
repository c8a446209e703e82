"""Listening servers that are each a shard of one cluster, with a Distributed table on all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Generic, TypeVar

from audit_handler.schema import statements
from audit_handler.target import Target
from tests.support.listening import ListeningClickHouse, free_port
from tests.support.listening.asked import Asked, ListeningError
from tests.support.listening.config import CLUSTER
from tests.support.loopback.cluster import on_one_server, unreplicated

__all__ = ["Shards", "TwoShards"]

ServerT = TypeVar("ServerT", bound=Asked)


class Shards(Generic[ServerT]):
    """
    Servers that are each a shard of one cluster. Each row is on one of them; all find all rows.

    `create_tables` runs the files of ``sql/cluster`` on each server, without ``ON CLUSTER`` and
    replication. As an `Engine`, it is the first server.
    """

    def __init__(self, servers: list[ServerT]) -> None:
        self.servers = servers

    def create_tables(self, database: str) -> None:
        """
        Create the local and the Distributed table in *database* on each server.

        Raises:
            ListeningError: A server does not find the tables of all, by the names in its cluster.
        """
        target = Target(scheme="http", host="127.0.0.1", database=database, cluster="{cluster}")
        for sql in statements(target):
            for server in self.servers:
                server.command(unreplicated(on_one_server(sql)))
        for server in self.servers:
            hosts = server.query(
                f"SELECT hostName() AS host, count() AS tables "
                f"FROM clusterAllReplicas('{CLUSTER}', system.tables) "
                f"WHERE database = '{database}' GROUP BY host, tcpPort()"
            )
            if [2] * len(self.servers) != [each["tables"] for each in hosts]:
                raise ListeningError(f"{server!r} finds the tables of {hosts} alone")

    def local_counts(self, database: str) -> list[int]:
        """Return the number of rows that each shard holds."""
        sql = f"SELECT count() AS n FROM {database}.audit_logs_local"
        return [int(server.query(sql)[0]["n"]) for server in self.servers]

    def dsn(self, database: str = "audit_db") -> str:
        return self.servers[0].dsn(database)

    def query(self, sql: str) -> list[dict[str, Any]]:
        return self.servers[0].query(sql)

    def command(self, sql: str) -> str:
        return self.servers[0].command(sql)


class TwoShards(Shards[ListeningClickHouse]):
    """
    Two servers in processes of their own.

    Args:
        directory: Configuration and data of both.

    Raises:
        ListeningError: A server did not start.
    """

    def __init__(self, directory: Path) -> None:
        shards = [("127.0.0.1", free_port()) for _ in range(2)]
        super().__init__(
            [
                ListeningClickHouse(
                    directory / f"shard_{number}",
                    tcp_port=port,
                    shards=shards,
                    shard=number,
                )
                for number, (_, port) in enumerate(shards, start=1)
            ]
        )

    def __enter__(self) -> TwoShards:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Kill both servers."""
        for server in self.servers:
            server.stop()
