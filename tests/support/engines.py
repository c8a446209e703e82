"""One interface to every ClickHouse that tests use."""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import urlsplit


class Engine(Protocol):
    """A ClickHouse that a test can query."""

    def dsn(self, database: str = "audit_db") -> str: ...

    def query(self, sql: str) -> list[dict[str, Any]]: ...

    def command(self, sql: str) -> object: ...


class RealServer:
    """A real ClickHouse server, queried through the driver."""

    def __init__(self, url: str) -> None:
        import clickhouse_connect

        self._parts = urlsplit(url)
        self._client = clickhouse_connect.get_client(dsn=url)

    def dsn(self, database: str = "audit_db") -> str:
        return f"{self._parts.scheme}://{self._parts.netloc}/{database}"

    def query(self, sql: str) -> list[dict[str, Any]]:
        return list(self._client.query(sql).named_results())

    def command(self, sql: str) -> object:
        return self._client.command(sql)


def completeness(engine: Engine, table: str) -> list[dict[str, Any]]:
    """
    Return rows, gaps and repeats of each writer, as an auditor counts them.
    """
    return engine.query(
        "SELECT count() AS rows, max(seq) - uniqExact(seq) AS gaps, "
        "count() - uniqExact(seq) AS repeats "
        f"FROM {table} GROUP BY writer_id ORDER BY writer_id"
    )
