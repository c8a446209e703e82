"""Each step is tried in turn, and the steps after a failure are skipped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from audit_handler._operations.check import check
from audit_handler.config import Settings
from audit_handler.errors import SetupError
from audit_handler.schema import WRITTEN_COLUMNS
from audit_handler.spool import DiskFiles
from tests.support.findings import findings
from tests.support.loopback import LoopbackClickHouse

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]

STEPS = [
    "address",
    "encoder",
    "connection",
    "clock",
    "database",
    "table",
    "deduplication",
    "test row",
    "spool",
]


class AnsweringConnection:
    """A server where all is well, except for the look-up of the test row."""

    def __init__(self, answer: set[int] | SetupError | None) -> None:
        self.answer = answer
        self.inserted: list[tuple[bytes, str]] = []

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        if "version()" in sql:
            return [{"version": "26.9", "user": "app"}]
        if "now64" in sql:
            return [{"now": 1_790_000_000_000_000}]
        if "system.databases" in sql:
            return [{"name": (parameters or {}).get("database", "audit_db")}]
        if "system.tables" in sql:
            return [
                {
                    "engine": "MergeTree",
                    "sorting_key": "",
                    "engine_full": "",
                    "partition_key": "",
                    "ddl": "SETTINGS non_replicated_deduplication_window = 10000",
                }
            ]
        if "system.columns" in sql:
            return [{"name": name, "type": "String"} for name in (*WRITTEN_COLUMNS, "event_date")]
        return []

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None: ...

    def insert(self, lines: bytes, *, token: str) -> None:
        self.inserted.append((lines, token))

    def stored(
        self, writer_id: str, first_seq: int, last_seq: int, lines: bytes
    ) -> set[int] | None:
        assert [(lines, f"{writer_id}:{first_seq}-{last_seq}")] == self.inserted
        if isinstance(self.answer, SetupError):
            raise self.answer
        return self.answer


def test_all_steps_are_ok_where_all_is_well(dsn: str) -> None:
    found = findings(dsn, sends_row=True)

    assert STEPS == list(found)
    assert {"ok"} == {each.state for each in found.values()}
    assert not any(each.remedy for each in found.values())


def test_steps_after_a_failure_are_skipped_but_the_spool_is_tried() -> None:
    found = findings("http://127.0.0.1:1", sends_row=True)

    assert ["ok", "ok", "failed", *["skipped"] * 5, "ok"] == [found[step].state for step in STEPS]
    assert "check host and port" in found["connection"].remedy
    assert "fix first: connection" == found["test row"].detail


def test_every_step_that_is_tried_is_announced_and_no_row_is_sent_unasked() -> None:
    connection = AnsweringConnection({1})
    announced: list[str] = []
    settings = Settings.resolve({"dsn": "http://ch", "spool_dir": "spool"}, {})
    steps = check(
        settings,
        connection,
        DiskFiles(),
        now=lambda: 1_790_000_000.0,
        sends_row=False,
        on_step=announced.append,
    )
    found = {each.step for each in steps}

    assert [step for step in STEPS if step != "test row"] == announced
    assert set(announced) == found
    assert [] == connection.inserted


@pytest.mark.parametrize(
    ("answer", "state", "remedy"),
    [
        ({1}, "ok", ""),
        (set(), "failed", "look for a row policy"),
        (None, "warning", "grant SELECT(writer_id, seq, event_date)"),
        (SetupError("no such column", remedy="add it"), "failed", "add it"),
    ],
    ids=["found", "not there", "may not look", "refused"],
)
def test_the_test_row_is_looked_up(
    answer: set[int] | SetupError | None, state: str, remedy: str
) -> None:
    connection = AnsweringConnection(answer)
    settings = Settings.resolve({"dsn": "http://ch", "spool_dir": "spool"}, {})
    steps = check(settings, connection, DiskFiles(), now=lambda: 1_790_000_000.0)
    (found,) = (each for each in steps if each.step == "test row")
    ((line, _),) = connection.inserted
    row = json.loads(line)

    assert (state, True) == (found.state, found.remedy.startswith(remedy))
    assert ("AUDIT_CHECK", 1, "2026-09-21 14:13:20.000000") == (
        row["action"],
        row["seq"],
        row["event_time"],
    )


def test_a_test_row_that_the_server_rejects_names_the_remedy(
    dsn: str, faults: LoopbackClickHouse
) -> None:
    faults.deny("^INSERT")
    try:
        found = findings(dsn, sends_row=True)["test row"]
    finally:
        faults.deny()

    assert ("failed", True) == (found.state, "grant INSERT on the table" in found.remedy)


def test_a_test_row_that_a_constraint_rejects_names_the_remedy(
    dsn: str, faults: LoopbackClickHouse
) -> None:
    table = f"{dsn.rpartition('/')[2]}.audit_logs"
    faults.command(f"ALTER TABLE {table} ADD CONSTRAINT no_checks CHECK action != 'AUDIT_CHECK'")
    found = findings(dsn, sends_row=True)["test row"]

    assert ("failed", "ClickHouse rejects it: code 469 (VIOLATED_CONSTRAINT)") == (
        found.state,
        found.detail,
    )
    assert "constraints of the table" in found.remedy


def test_a_page_that_answers_instead_of_clickhouse_is_named_with_the_remedy(
    faults: LoopbackClickHouse, dsn: str
) -> None:
    faults.fault("http_status", match="INSERT INTO", status=200)
    found = findings(dsn, sends_row=True)["test row"]

    assert "failed" == found.state
    assert "HTTP status 200" in found.detail
    assert "X-ClickHouse headers" in found.remedy
