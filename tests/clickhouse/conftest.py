"""A table that is ready for inserts."""

from __future__ import annotations

import pytest

from audit_handler.clickhouse import ClickHouse
from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import Connect, rows


@pytest.fixture
def ready(faults: LoopbackClickHouse, connect: Connect, database: str) -> ClickHouse:
    """A connection to a table that has one row."""
    clickhouse = connect(faults.dsn(database))
    clickhouse.insert(rows(1), token="first")
    faults.forget_requests()
    return clickhouse
