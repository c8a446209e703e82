"""Ask ClickHouse which columns this user may insert into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from audit_handler.clickhouse._insert import identifier

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

__all__ = ["denied"]


def denied(client: Client, table: str, columns: Sequence[str]) -> list[str]:
    """
    Return those of *columns* of *table* that this user may not insert into. ClickHouse rejects an
    insert that names one of them.
    """
    if not columns or _is_granted(client, table, columns):
        return []
    return [name for name in columns if not _is_granted(client, table, [name])]


def _is_granted(client: Client, table: str, columns: Sequence[str]) -> bool:
    names = ", ".join(map(identifier, columns))
    # Has no FORMAT. Of another answer than ClickHouse's own 0, nothing is believed.
    answer = client.command(f"CHECK GRANT INSERT({names}) ON {table}", use_database=False)
    return str(answer).strip() != "0"
