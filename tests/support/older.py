"""A table with the layout of 2025, as users of the previous system may have it."""

from __future__ import annotations

from typing import Protocol

__all__ = ["create_older_table", "fill_older_table"]


class Commands(Protocol):
    def command(self, sql: str) -> object: ...


def create_older_table(server: Commands, database: str, table: str = "audit_logs") -> None:
    """Create *database* and, in it, *table* with the layout of 2025."""
    server.command(f"CREATE DATABASE IF NOT EXISTS {database}")
    server.command(
        f"""
        CREATE TABLE {database}.{table}
        (
            event_time DateTime64(3) DEFAULT now64(3), event_date Date DEFAULT toDate(event_time),
            agent_id String, agent_name String, agent_role LowCardinality(String) DEFAULT 'user',
            agent_email String, action LowCardinality(String),
            resource_type LowCardinality(String), resource_id String, resource_name String,
            ip_address IPv4, endpoint String, http_method LowCardinality(String) DEFAULT 'GET',
            status_code UInt16 DEFAULT 200, response_time_ms UInt32,
            request_body String, response_body String,
            request_headers String DEFAULT '{{}}', response_headers String DEFAULT '{{}}',
            old_value String, new_value String, user_agent String, session_id String,
            request_id String, error_message String, metadata String DEFAULT '{{}}',
            INDEX idx_agent agent_id TYPE bloom_filter(0.01) GRANULARITY 1,
            INDEX idx_action action TYPE set(0) GRANULARITY 1,
            INDEX idx_resource resource_id TYPE bloom_filter(0.01) GRANULARITY 1
        )
        ENGINE = MergeTree PARTITION BY toYYYYMM(event_date)
        ORDER BY (event_date, agent_id, action, event_time) TTL event_date + INTERVAL 2 YEAR
        """
    )


def fill_older_table(
    server: Commands, database: str, rows: int, *, days: int = 90, table: str = "audit_logs"
) -> None:
    """Put *rows* rows of the last *days* days into it; resource_id numbers them from 0."""
    server.command(
        f"""
        INSERT INTO {database}.{table}
            (event_time, agent_id, agent_name, action, resource_type, resource_id, ip_address,
             status_code, request_body, error_message)
        SELECT now64(3) - toIntervalSecond(intDiv(number * {days * 86_400}, {rows})),
            concat('u-', toString(number % 500)), 'Ada',
            ['CREATE', 'READ', 'UPDATE'][number % 3 + 1], 'order', toString(number),
            toIPv4(number % 65536), [200, 201, 404][number % 3 + 1],
            concat('{{"number":', toString(number), '}}'), if(number % 100 = 0, 'refused', '')
        FROM numbers({rows})
        """
    )
