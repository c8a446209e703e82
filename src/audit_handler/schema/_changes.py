"""What a table that exists lacks, and the statements that add it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from audit_handler.target import Target

__all__ = ["Change", "Client", "changes"]


class Client(Protocol):
    """A connection to ClickHouse, as `audit_handler.clickhouse.ClickHouse` is one."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a SELECT, by column name."""
        ...

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that returns no rows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between a table and ``sql/``."""

    what: str
    """The difference in words: ``"column trace_id is missing"``."""
    sql: str | None
    """The statement that mends it, or None where only `audit_handler.upgrade` or a person can."""


def changes(client: Client, target: Target) -> list[Change]:
    """
    Return what *target*'s database and tables lack, with the statements that mend it, in the order
    to run them; none when all is as ``sql/`` says. Changes nothing itself.

    The operator's own columns, indexes, retention and larger settings are left alone. Data is
    never rewritten: an index that is added holds for rows to come, until it is materialized.

    Raises:
        DeliveryError: ClickHouse cannot be asked; see `TransientError` and `SetupError`.
    """
    raise NotImplementedError
