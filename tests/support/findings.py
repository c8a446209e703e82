"""The findings of ``audit-handler check``, without the command line."""

from __future__ import annotations

import time
from collections.abc import Callable

from audit_handler._operations.check import Finding, check
from audit_handler.clickhouse import ClickHouse
from audit_handler.config import Settings
from audit_handler.spool import DiskFiles

__all__ = ["findings"]


def findings(
    dsn: str,
    *,
    now: Callable[[], float] = time.time,
    sends_row: bool = False,
    create_table: bool = False,
    **options: object,
) -> dict[str, Finding]:
    """
    Return the last finding of each step.

    Args:
        dsn: Where the rows go.
        now: Returns Unix seconds.
        sends_row: Send a test row.
        create_table: Create the table first.
        options: Options of the handler.
    """
    settings = Settings.resolve({"dsn": dsn, "spool_dir": "spool", **options}, {})
    connection = ClickHouse(settings.target, create_table=False, async_insert=False)
    try:
        if create_table:
            connection.create_table()
        steps = check(settings, connection, DiskFiles(), now=now, sends_row=sends_row)
        return {each.step: each for each in steps}
    finally:
        connection.close()
