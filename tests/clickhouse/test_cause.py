"""The cause that an operator can fix comes first, and no row value is repeated."""

from __future__ import annotations

import pytest

from audit_handler.clickhouse import ClickHouse
from audit_handler.clickhouse._cause import innermost_cause
from audit_handler.clickhouse._errors import sort_error
from audit_handler.errors import SetupError, ViewError
from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import rows

# Texts of engine 26.9.
_REFUSED = "Connection refused (127.0.0.1:1)"
_TEXTS = {
    "Code: 60. DB::Exception: Table audit_db.audit_logs does not exist. (UNKNOWN_TABLE)": (
        "Table audit_db.audit_logs does not exist"
    ),
    "Received ClickHouse exception, code: 60, server response: Code: 60. DB::Exception: Received "
    "from shard-2:9000. DB::Exception: Table audit_db.audit_logs_local does not exist. "
    "Stack trace:\n\n0. DB::Exception::Exception(x) @ 0x1. (UNKNOWN_TABLE) (version 26.9.2.1)": (
        "shard-2:9000 said: Table audit_db.audit_logs_local does not exist"
    ),
    "Code: 519. DB::NetException: All attempts to get table structure failed. Log: \n\nCode: 279. "
    "DB::NetException: All connection tries failed. Log: \n\nCode: 210. DB::NetException: "
    f"{_REFUSED}. (NETWORK_ERROR) (version 26.9.2.1)\n\n. (ALL_CONNECTION_TRIES_FAILED) (version "
    "26.9.2.1)\n\n. (NO_REMOTE_SHARD_AVAILABLE)": _REFUSED,
    "Code: 60. DB::Exception: Target table 'audit_db.t' of view 'audit_db.audit_logs' doesn't "
    "exists. (UNKNOWN_TABLE)": (
        "table audit_db.t is missing, the target of a materialized view on audit_db.audit_logs"
    ),
    "Code: 1. DB::Exception: Cannot parse string 'geheim' as UInt32: syntax error. Note: there are "
    "toUInt32OrZero and others: while executing 'FUNCTION toUInt32(a)': while pushing to view "
    "audit_db.mv. (X) (version 26.9.2.1 (official build))": (
        "Cannot parse string '...' as UInt32: syntax error (in the materialized view audit_db.mv)"
    ),
    "Code: 1. DB::Exception: Cannot parse IPv4 geheim: Cannot parse IPv4 from String: while "
    "executing 'FUNCTION f(a)'. (X)": "Cannot parse IPv4 ...: Cannot parse IPv4 from String",
    "no exception of ClickHouse": "no exception of ClickHouse",
}


@pytest.mark.parametrize("text", _TEXTS)
def test_the_innermost_cause_is_named_alone_and_without_row_values(text: str) -> None:
    assert _TEXTS[text] == innermost_cause(text).text


def test_a_secret_in_the_name_of_a_view_is_masked() -> None:
    text = "Code: 47. DB::Exception: no column: while pushing to view s3cret.mv. (X)"
    exc = Exception(text)
    exc.code = 47  # type: ignore[attr-defined]

    assert "s3cret" not in str(sort_error(exc, ["s3cret"]))


_TARGET = "CREATE TABLE {0}.target (message String) ENGINE = MergeTree ORDER BY tuple()"
_SIDE = "CREATE TABLE {0}.side (id String) ENGINE = MergeTree ORDER BY id"
_VIEW = "CREATE MATERIALIZED VIEW {0}.mv TO {0}.target AS SELECT message FROM {0}.audit_logs"


def test_a_dropped_target_of_a_view_is_named_and_init_is_no_remedy(
    ready: ClickHouse, faults: LoopbackClickHouse, database: str
) -> None:
    """Init cannot create it: the table is not ours."""
    for statement in (_TARGET, _VIEW, "DROP TABLE {0}.target SYNC"):
        faults.command(statement.format(database))
    with pytest.raises(SetupError) as caught:
        ready.insert(rows(2), token="t")

    assert f"table {database}.target is missing" in caught.value.problem
    assert caught.value.remedy == f"create {database}.target again, or drop the view"


def test_a_dropped_table_that_a_view_reads_is_named(
    ready: ClickHouse, faults: LoopbackClickHouse, database: str
) -> None:
    reads = f"{_VIEW} WHERE message IN (SELECT id FROM {{0}}.side)"
    for statement in (_TARGET, _SIDE, reads, "DROP TABLE {0}.side SYNC"):
        faults.command(statement.format(database))
    with pytest.raises(ViewError) as caught:
        ready.insert(rows(2), token="t")

    assert f"{database}.mv" == caught.value.view
    assert f"table {database}.side is missing" in caught.value.problem


def test_the_audit_table_itself_is_created_by_init(
    ready: ClickHouse, faults: LoopbackClickHouse, database: str
) -> None:
    faults.command(f"DROP TABLE {database}.audit_logs SYNC")
    with pytest.raises(SetupError, match=r"audit_logs does not exist; .*audit-handler init"):
        ready.insert(rows(2), token="t")
