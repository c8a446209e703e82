"""
Each option of `AuditHandler` has an effect: a test here fails where the option is hard-wired.

The last test compares the options shown here with the signature.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from audit_handler import AuditHandler, SpoolFull
from audit_handler._delivery.listener import Listener
from audit_handler.config import PROFILES
from audit_handler.spool import Spool
from audit_handler.spool._held_write import HeldWrite, held_write_of
from tests.support.delivery import refuse_strangers
from tests.support.loopback import LoopbackClickHouse

MakeHandler = Callable[..., AuditHandler]
_Test = TypeVar("_Test", bound=Callable[..., None])

# Nothing listens there: the rows stay in the spool.
NOWHERE = "http://127.0.0.1:1/audit_db"
# A segment is sealed when it is full, or by a flush.
NEVER_MS = 3_600_000
AUDIT = {"action": "CREATE", "resource_type": "order"}

_shown: set[str] = set()


def shows(option: str) -> Callable[[_Test], _Test]:
    """Say that the test fails where *option* is hard-wired."""
    _shown.add(option)
    return lambda test: test


def notes_calls(monkeypatch: pytest.MonkeyPatch, cls: type, method: str) -> list[dict[str, Any]]:
    """Return the list to which each later call of the method adds its arguments by name."""
    calls: list[dict[str, Any]] = []
    original = getattr(cls, method)
    signature = inspect.signature(original)

    @functools.wraps(original)
    def noting(*args: Any, **kwargs: Any) -> Any:
        calls.append(dict(signature.bind(*args, **kwargs).arguments))
        return original(*args, **kwargs)

    monkeypatch.setattr(cls, method, noting)
    return calls


@pytest.fixture
def spooled_row(
    make_handler: MakeHandler, log: logging.Logger, tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Return a function that logs one audit, with handler options, and returns its spooled row."""

    def row_with(extra: dict[str, Any], **options: Any) -> dict[str, Any]:
        make_handler(NOWHERE, logger=log.name, flush_interval_ms=NEVER_MS, **options)
        log.info("created", extra={**AUDIT, **extra})
        [path] = (tmp_path / "spool").rglob("*.open")
        row: dict[str, Any] = json.loads(path.read_bytes())
        return row

    return row_with


@pytest.fixture
def insert_count(
    make_handler: MakeHandler, log: logging.Logger, faults: LoopbackClickHouse, database: str
) -> Callable[..., int]:
    """Return a function that logs audits, with handler options, and returns the inserts made."""

    def inserts_of(rows: int, extra: dict[str, Any], **options: Any) -> int:
        handler = make_handler(
            faults.dsn(database), logger=log.name, flush_interval_ms=NEVER_MS, **options
        )
        for _ in range(rows):
            log.info("created", extra={**AUDIT, **extra})
        assert handler.flush()
        return len(faults.requests(match=f"^INSERT INTO `{database}`"))

    return inserts_of


# The target


@shows("dsn")
def test_rows_go_to_the_server_and_database_of_the_dsn(
    make_handler: MakeHandler, log: logging.Logger, faults: LoopbackClickHouse, database: str
) -> None:
    handler = make_handler(faults.dsn(database), logger=log.name)
    log.info("created", extra=AUDIT)

    assert handler.flush()
    assert [{"n": 1}] == faults.query(f"SELECT count() AS n FROM {database}.audit_logs")


@shows("database")
@shows("table")
def test_rows_go_to_the_database_and_table_that_are_given(
    make_handler: MakeHandler, log: logging.Logger, faults: LoopbackClickHouse, database: str
) -> None:
    handler = make_handler(
        faults.dsn("elsewhere"), logger=log.name, database=database, table="trail"
    )
    log.info("created", extra=AUDIT)

    assert handler.flush()
    assert [{"n": 1}] == faults.query(f"SELECT count() AS n FROM {database}.trail")


@shows("cluster")
def test_tables_are_created_on_the_cluster(
    make_handler: MakeHandler, log: logging.Logger, faults: LoopbackClickHouse, database: str
) -> None:
    make_handler(faults.dsn(database), logger=log.name, cluster="main")
    log.info("created", extra=AUDIT)

    [request, *_] = faults.wait_for_request(match=f"^CREATE DATABASE .*{database}")

    assert "ON CLUSTER 'main'" in request["statement"]


@shows("create_table")
@pytest.mark.parametrize("create_table", [True, False])
def test_database_and_table_are_created_only_on_request(
    make_handler: MakeHandler,
    log: logging.Logger,
    faults: LoopbackClickHouse,
    database: str,
    create_table: bool,
) -> None:
    make_handler(faults.dsn(database), logger=log.name, create_table=create_table)
    log.info("created", extra=AUDIT)
    faults.wait_for_request(match=f"DESCRIBE TABLE .*{database}")

    assert create_table == bool(faults.requests(match=f"^CREATE .*{database}"))


@shows("async_insert")
@pytest.mark.parametrize(
    ("async_insert", "expected"), [(True, ("1", "1")), (False, ("0", None))], ids=str
)
def test_the_server_batches_inserts_only_on_request(
    make_handler: MakeHandler,
    log: logging.Logger,
    faults: LoopbackClickHouse,
    database: str,
    async_insert: bool,
    expected: tuple[str, str | None],
) -> None:
    handler = make_handler(faults.dsn(database), logger=log.name, async_insert=async_insert)
    log.info("created", extra=AUDIT)
    assert handler.flush()

    [request] = faults.requests(match=f"^INSERT INTO `{database}`")

    names = ("async_insert", "wait_for_async_insert")
    assert expected == tuple(request["settings"].get(name) for name in names)


@shows("client_options")
def test_client_options_reach_the_driver(
    make_handler: MakeHandler, log: logging.Logger, faults: LoopbackClickHouse, database: str
) -> None:
    handler = make_handler(
        faults.dsn(database), logger=log.name, client_options={"settings": {"max_threads": 3}}
    )
    log.info("created", extra=AUDIT)
    assert handler.flush()

    [request] = faults.requests(match=f"^INSERT INTO `{database}`")

    assert "3" == request["settings"]["max_threads"]


# Batches


@shows("batch_size")
def test_a_full_segment_is_one_insert(insert_count: Callable[..., int]) -> None:
    assert 2 == insert_count(6, {}, batch_size=3)


@shows("batch_bytes")
def test_a_segment_is_full_by_its_bytes_too(insert_count: Callable[..., int]) -> None:
    assert 2 == insert_count(3, {"new_value": "x" * 30_000}, batch_bytes=65_536)


@shows("profile")
def test_a_profile_sets_the_size_of_a_segment(insert_count: Callable[..., int]) -> None:
    assert 2 == insert_count(PROFILES["low"]["batch_size"] + 1, {}, profile="low")


@shows("flush_interval_ms")
def test_a_row_waits_for_others_as_long_as_is_said(
    make_handler: MakeHandler, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = notes_calls(monkeypatch, Spool, "__init__")
    make_handler(NOWHERE, logger=log.name, flush_interval_ms=123_000)
    log.info("created", extra=AUDIT)

    assert [123.0] == [call["flush_interval"] for call in made]


@shows("retry_min_ms")
@shows("retry_max_ms")
def test_retries_wait_as_long_as_is_said(
    make_handler: MakeHandler, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = notes_calls(monkeypatch, Listener, "__init__")
    make_handler(NOWHERE, logger=log.name, retry_min_ms=1_500, retry_max_ms=45_000)
    log.info("created", extra=AUDIT)

    assert [(1.5, 45.0)] == [(call["retry_min"], call["retry_max"]) for call in made]


@shows("shutdown_timeout")
@pytest.mark.parametrize("ending", [AuditHandler.flush, AuditHandler.close])
def test_an_ending_waits_for_clickhouse_as_long_as_is_said(
    make_handler: MakeHandler,
    log: logging.Logger,
    faults: LoopbackClickHouse,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    ending: Callable[[AuditHandler], bool],
) -> None:
    flushed = notes_calls(monkeypatch, Spool, "flush")
    handler = make_handler(faults.dsn(database), logger=log.name, shutdown_timeout=123.5)
    log.info("created", extra=AUDIT)

    assert ending(handler)
    # Without a timeout it only seals.
    assert [123.5] == [call["timeout"] for call in flushed if call["timeout"]]


# The spool


@shows("spool_dir")
def test_rows_wait_in_the_directory_that_is_given(
    make_handler: MakeHandler, log: logging.Logger, tmp_path: Path
) -> None:
    make_handler(NOWHERE, logger=log.name, spool_dir=tmp_path / "here", flush_interval_ms=NEVER_MS)
    log.info("created", extra=AUDIT)

    assert 1 == len(list((tmp_path / "here").rglob("*.open")))


@shows("max_spool_bytes")
@shows("on_full")
def test_a_full_spool_raises_on_request(make_handler: MakeHandler, log: logging.Logger) -> None:
    handler = make_handler(
        NOWHERE, logger=log.name, on_full="raise", batch_bytes=65_536, max_spool_bytes=100_000
    )
    for _ in range(3):
        log.info("fits", extra={**AUDIT, "new_value": "x" * 30_000})

    with pytest.raises(SpoolFull, match="max_spool_bytes=100,000"):
        log.info("does not fit", extra={**AUDIT, "new_value": "x" * 30_000})
    assert 3 == handler.status().rows_emitted


@shows("max_rejected_bytes")
@pytest.mark.parametrize(("limit", "kept"), [(0, 0), (1_000_000, 1)])
def test_rejected_rows_are_kept_up_to_the_limit(
    limit: int,
    kept: int,
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
) -> None:
    handler = make_handler(faults.dsn(database), logger=log.name, max_rejected_bytes=limit)
    refuse_strangers(faults, handler)
    log.info("x", extra={**AUDIT, "agent_id": "stranger"})

    assert not handler.flush()
    status = handler.status()
    assert (kept, kept, 1 - kept) == (
        status.rows_in_rejected,
        status.rows_rejected,
        status.rows_dropped,
    )


@shows("on_full")
@shows("block_timeout")
@pytest.mark.parametrize(("on_full", "expected"), [("block", 123.5), ("drop", 0.0)])
def test_a_call_waits_for_a_full_spool_as_long_as_is_said(
    make_handler: MakeHandler,
    log: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    on_full: str,
    expected: float,
) -> None:
    puts = notes_calls(monkeypatch, Spool, "put")
    make_handler(NOWHERE, logger=log.name, on_full=on_full, block_timeout=123.5)
    log.info("created", extra=AUDIT)

    assert [expected] == [call["timeout"] for call in puts]


@shows("fsync")
@pytest.mark.parametrize(
    ("fsync", "expected"),
    [("never", (False, False)), ("batch", (False, True)), ("always", (True, True))],
)
def test_rows_are_synced_when_it_is_said(
    make_handler: MakeHandler,
    log: logging.Logger,
    faults: LoopbackClickHouse,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    fsync: str,
    expected: tuple[bool, bool],
) -> None:
    handler = make_handler(
        faults.dsn(database), logger=log.name, fsync=fsync, flush_interval_ms=NEVER_MS
    )
    log.info("opens the segment", extra=AUDIT)
    spool = handler.settings.spool_dir
    assert spool is not None
    synced: list[int] = []

    def note(file: int) -> None:
        # Other tests of this process have threads that sync files of their own.
        if any(
            os.path.samestat(os.fstat(file), path.stat()) for path in (spool, *spool.rglob("*"))
        ):
            synced.append(file)

    monkeypatch.setattr(os, "fsync", note)

    log.info("created", extra=AUDIT)
    is_synced_at_once = bool(synced)
    assert handler.flush()

    assert expected == (is_synced_at_once, bool(synced))


@shows("hold_gil")
@pytest.mark.parametrize("hold_gil", [True, False])
def test_a_write_holds_the_interpreter_lock_when_it_may(
    make_handler: MakeHandler,
    log: logging.Logger,
    faults: LoopbackClickHouse,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    hold_gil: bool,
) -> None:
    if held_write_of(tmp_path) is None:
        pytest.skip("the temporary directory is on no local disk of Linux")
    held = notes_calls(monkeypatch, HeldWrite, "append")
    handler = make_handler(faults.dsn(database), logger=log.name, hold_gil=hold_gil)
    log.info("created", extra=AUDIT)

    assert handler.flush()
    assert hold_gil is bool(held)


# Rows


@shows("level")
def test_records_below_the_level_pass_by(make_handler: MakeHandler, log: logging.Logger) -> None:
    handler = make_handler(NOWHERE, logger=log.name, level="ERROR")
    log.warning("created", extra=AUDIT)
    log.error("created", extra=AUDIT)

    assert 1 == handler.status().rows_emitted


@shows("capture")
@pytest.mark.parametrize(("capture", "expected"), [("all", 2), ("audit", 1)])
def test_records_without_an_action_are_captured_on_request(
    make_handler: MakeHandler, log: logging.Logger, capture: str, expected: int
) -> None:
    handler = make_handler(NOWHERE, logger=log.name, capture=capture)
    log.info("created", extra=AUDIT)
    log.info("an ordinary line")

    assert expected == handler.status().rows_emitted


@shows("service_name")
def test_a_row_names_the_service(spooled_row: Callable[..., dict[str, Any]]) -> None:
    assert "shop" == spooled_row({}, service_name="shop")["service_name"]


@shows("redact_keys")
def test_the_keys_that_are_given_are_redacted(spooled_row: Callable[..., dict[str, Any]]) -> None:
    row = spooled_row({"new_value": {"iban": "DE1", "password": "x"}}, redact_keys=["iban"])

    assert {"iban": "***REDACTED***", "password": "***REDACTED***"} == row["new_value"]


@shows("redact_except")
def test_the_names_that_are_excepted_stay(spooled_row: Callable[..., dict[str, Any]]) -> None:
    value = {"token": "x", "user_token": "y"}

    row = spooled_row({"new_value": value}, redact_except=["Token"])

    assert {"token": "x", "user_token": "***REDACTED***"} == row["new_value"]


@shows("redact_patterns")
def test_the_patterns_that_are_given_are_redacted(
    spooled_row: Callable[..., dict[str, Any]],
) -> None:
    value = {"note": "of CUST-0123456789 there", "password": "x"}

    row = spooled_row({"new_value": value}, redact_patterns=[r"CUST-\d+"])

    assert {"note": "of ***REDACTED*** there", "password": "***REDACTED***"} == row["new_value"]


@shows("list_redacted")
def test_the_places_that_were_redacted_are_listed(
    spooled_row: Callable[..., dict[str, Any]],
) -> None:
    row = spooled_row({"new_value": {"users": [{"password": "x"}]}}, list_redacted=True)

    assert {"_redacted": ["new_value.users[0].password"]} == row["metadata"]


@shows("redact_default_keys")
def test_the_default_keys_can_be_left_out(spooled_row: Callable[..., dict[str, Any]]) -> None:
    row = spooled_row({"new_value": {"password": "x"}}, redact_default_keys=False)

    assert {"password": "x"} == row["new_value"]


@shows("max_value_bytes")
def test_a_longer_value_is_cut(spooled_row: Callable[..., dict[str, Any]]) -> None:
    row = spooled_row({"new_value": "x" * 1_000}, max_value_bytes=300)

    assert "x" * 300 == row["new_value"]


def test_every_option_is_shown_to_have_an_effect() -> None:
    options = inspect.signature(AuditHandler).parameters

    assert set(options) == _shown
