"""Connections to ClickHouse: opened for one command. A user without a grant gets its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from audit_handler._operations.embedded import require_directory
from audit_handler.clickhouse import ClickHouse
from audit_handler.config import Settings
from audit_handler.errors import SetupError
from audit_handler.schema import existing_table
from audit_handler.target import Target
from audit_handler.trail import Trail

__all__ = ["LOOKS_UP", "connected", "reading", "require_table"]

LOOKS_UP = "grant SELECT(writer_id, seq, event_date) on the table to the user of the dsn"
_READS = "grant SELECT on the table to the user of the dsn (sql/access/: audit_reader_role)"

_ACCESS_DENIED = 497


@contextmanager
def connected(settings: Settings, *, grant: str, creates: bool = False) -> Iterator[ClickHouse]:
    """
    Open a connection, and close it at the end.

    Args:
        settings: Name the target.
        grant: The remedy when the user of the dsn lacks a grant.
        creates: Whether embedded chDB may create its directory.

    Raises:
        SetupError: The directory of an embedded database is missing or holds other files, or the
            user lacks a grant.
        DeliveryError: Raised inside the block.
    """
    target = settings.target
    require_directory(target, may_be_made=creates)
    connection = ClickHouse(target, create_table=False, async_insert=False)
    try:
        yield connection
    except SetupError as exc:
        if exc.code != _ACCESS_DENIED:
            raise
        raise SetupError(exc.problem, code=exc.code, remedy=grant) from exc
    finally:
        connection.close()


@contextmanager
def reading(settings: Settings) -> Iterator[Trail]:
    """Open the trail to read it, as `connected` does; the table must exist."""
    with connected(settings, grant=_READS) as connection:
        require_table(connection, settings.target)
        yield Trail(connection, settings.target)


def require_table(connection: ClickHouse, target: Target) -> None:
    """
    Check that the table exists and has the present layout.

    Raises:
        SetupError: The table is missing, or has the layout of 2025.
    """
    table = existing_table(connection, target.database, target.table)
    if table is None:
        raise SetupError(
            f"{target} does not exist, or is not visible to this user",
            remedy="create it with: audit-handler init; or see: audit-handler check",
        )
    if table.is_older:
        raise SetupError(
            f"{target} has the layout of 2025, which lacks columns that this command needs",
            remedy="upgrade it with: audit-handler init (applications can keep writing)",
        )
