"""A database with its table."""

from __future__ import annotations

import pytest

from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import Connect


@pytest.fixture
def dsn(faults: LoopbackClickHouse, database: str, connect: Connect) -> str:
    """A database on the loopback server, with its table."""
    dsn = faults.dsn(database)
    connect(dsn).create_table()
    return dsn
