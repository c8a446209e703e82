"""``replay``: rejected rows are stored once, or say why not."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from audit_handler import AuditHandler
from tests.support.commands import run
from tests.support.engines import completeness
from tests.support.loopback import LoopbackClickHouse

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


def test_replay_as_json(refused: str, faults: LoopbackClickHouse, database: str) -> None:
    before = run("replay", "--dsn", refused, "--json")
    faults.command(f"ALTER TABLE {database}.audit_logs DROP CONSTRAINT known")
    after = run("replay", "--dsn", refused, "--json")

    assert (1, 0) == (before.exit_code, after.exit_code)
    assert {"stored": 0, "known": 0, "refused": 2, "elsewhere": {}} == json.loads(before.stdout)
    assert {"stored": 2, "known": 0, "refused": 0, "elsewhere": {}} == json.loads(after.stdout)


def test_replay_stores_the_reason_of_a_row_that_is_rejected_again(
    refused: str, faults: LoopbackClickHouse, database: str
) -> None:
    table = f"{database}.audit_logs"
    faults.command(f"ALTER TABLE {table} DROP CONSTRAINT known")
    faults.command(f"ALTER TABLE {table} ADD CONSTRAINT other CHECK agent_id != 'stranger'")
    run("replay", "--dsn", refused)
    (batch,) = json.loads(run("spool", "--json").stdout)["rejected"]

    assert ["2", "4"] == list(batch["reasons"])
    assert all("Constraint `other`" in reason for reason in batch["reasons"].values())


def test_replay_names_the_table_that_rejected_rows(refused: str, tmp_path: Path) -> None:
    (target,) = (path for path in (tmp_path / "spool").iterdir() if path.is_dir())
    result = run("replay", "--dsn", refused, "--table", "other")

    assert (1, "0 rows stored, 0 already stored,") == (result.exit_code, result.stdout[:32])
    assert f"2 rows of {target.name} belong to another table" in result.stderr
    assert "--dsn, --database and --table" in result.stderr


def test_a_damaged_line_stays_and_does_not_keep_others_from_replay(
    refused: str, faults: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    """The line ended the replay of all later files. A file without its reasons did the same."""
    (batch,) = tmp_path.rglob("rejected/*.ndjson")
    batch.with_suffix(".error.json").unlink()
    content = batch.read_bytes()
    batch.with_name("a.ndjson").write_bytes(b'{"seq":1\n\xff\n[]\n')
    faults.command(f"ALTER TABLE {database}.audit_logs DROP CONSTRAINT known")
    result = run("replay", "--dsn", refused, "--json")
    reasons = json.loads(batch.with_name("a.error.json").read_bytes())["rows"]

    assert {"stored": 2, "known": 0, "refused": 3, "elsewhere": {}} == json.loads(result.stdout)
    assert 2 == content.count(b"\n")
    assert ["a.error.json", "a.ndjson", "lock"] == sorted(p.name for p in batch.parent.iterdir())
    assert [None] * 3 == [reason["seq"] for reason in reasons]
    assert all("the line holds no row" in reason["reason"] for reason in reasons)


def test_a_row_that_is_stored_leaves_its_file_although_others_are_rejected_again(
    refused: str, faults: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    """Without the grant for the look-up, and without tokens, each replay stored the row again."""
    table = f"{database}.audit_logs"
    for change in (
        "DROP CONSTRAINT known",
        "ADD CONSTRAINT other CHECK resource_id != '3'",
        "MODIFY SETTING non_replicated_deduplication_window = 0",
    ):
        faults.command(f"ALTER TABLE {table} {change}")
    faults.deny("^SELECT seq")
    try:
        told = [json.loads(run("replay", "--dsn", refused, "--json").stdout) for _ in range(2)]
    finally:
        faults.deny()
    (batch,) = tmp_path.rglob("rejected/*.ndjson")

    assert [(1, 1), (0, 1)] == [(each["stored"], each["refused"]) for each in told]
    assert ["3"] == [json.loads(line)["resource_id"] for line in batch.read_text().splitlines()]
    assert [{"rows": 3, "gaps": 0, "repeats": 0}] == completeness(faults, table)


def test_replay_stores_rejected_rows_after_the_fix_and_never_twice(
    loopback: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    """A constraint rejects rows. It is dropped, and the rows are replayed, twice."""
    options: dict[str, Any] = {
        "dsn": loopback.dsn("default"),
        "database": database,
        "spool_dir": tmp_path,
    }
    run("init", "--dsn", options["dsn"], "--database", database)
    table = f"{database}.audit_logs"
    loopback.command(f"ALTER TABLE {table} ADD CONSTRAINT known CHECK agent_id != 'stranger'")
    handler = AuditHandler(**options, flush_interval_ms=10)
    for number in range(10):
        agent = "stranger" if number in (3, 7) else "u-1"
        record = {"action": "COUNT", "resource_id": str(number), "agent_id": agent}
        handler.handle(logging.makeLogRecord(record))
    assert not handler.flush(30.0)
    handler.close()
    arguments = ["replay", "--dsn", options["dsn"], "--database", database]
    arguments += ["--spool-dir", str(tmp_path)]
    before = run(*arguments)
    loopback.command(f"ALTER TABLE {table} DROP CONSTRAINT known")
    after = [run(*arguments) for _ in range(2)]

    assert (1, True) == (before.exit_code, "2 rejected again" in before.output)
    assert [0, 0] == [result.exit_code for result in after]
    assert "2 rows stored, 0 already stored, 0 rejected again" in after[0].output
    assert "0 rows stored, 0 already stored, 0 rejected again" in after[1].output
    assert [{"rows": 10, "gaps": 0, "repeats": 0}] == completeness(loopback, table)


def test_replay_of_a_file_that_was_stored_already_stores_nothing(
    loopback: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    """An earlier replay ended after its insert, and before it removed the file."""
    options: dict[str, Any] = {
        "dsn": loopback.dsn("default"),
        "database": database,
        "spool_dir": tmp_path,
    }
    handler = AuditHandler(**options, create_table=True)
    handler.handle(logging.makeLogRecord({"action": "COUNT"}))
    assert handler.flush(30.0)
    handler.close()
    (row,) = loopback.query(f"SELECT writer_id, event_time FROM {database}.audit_logs")
    rejected = tmp_path / handler.settings.target.directory_name / "rejected"
    rejected.mkdir()
    line = f'{{"writer_id":"{row["writer_id"]}","seq":1,"event_time":"{row["event_time"]}"}}'
    (rejected / "w-1-1.ndjson").write_text(line + "\n")
    (rejected / "w-1-1.error.json").write_text("{}")
    arguments = ["replay", "--dsn", str(options["dsn"]), "--database", database]
    result = run(*arguments, "--spool-dir", tmp_path)

    assert "0 rows stored, 1 already stored, 0 rejected again" in result.output
    assert [{"rows": 1, "gaps": 0, "repeats": 0}] == completeness(
        loopback, f"{database}.audit_logs"
    )
