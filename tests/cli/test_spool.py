"""``spool``: waiting and rejected rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_handler import AuditHandler
from tests.support.commands import audit, die_with_three_rows, run
from tests.support.loopback import LoopbackClickHouse

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]

AWAY = "http://127.0.0.1:1/away"


def test_an_empty_spool_says_so(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    result = run("spool")

    assert (0, True) == (result.exit_code, "no row waits" in result.output)
    assert [] == list((tmp_path / "spool").iterdir())


@pytest.mark.parametrize("command", [["spool"], ["spool", "export"], ["replay", "--dsn", AWAY]])
def test_a_missing_spool_is_not_reported_as_empty(command: list[str], tmp_path: Path) -> None:
    result = run(*command)

    assert (2, True) == (result.exit_code, f"no spool in {tmp_path}/spool" in result.stderr)
    assert "run this command as that user" in result.stderr
    assert not (tmp_path / "spool").exists()


def test_spool_shows_waiting_rows_of_running_and_ended_processes(
    make_handler: Callable[..., AuditHandler],
) -> None:
    die_with_three_rows()
    handler = make_handler("http://127.0.0.1:1/other", flush_interval_ms=3_600_000)
    audit(handler)
    waiting = json.loads(run("spool", "--json").stdout)["waiting"]
    shown = run("spool").stdout

    assert {(3, False), (1, True)} == {(each["rows"], each["is_alive"]) for each in waiting}
    assert all(0 <= each["oldest_seconds"] < 3600 for each in waiting)
    assert "ended" in shown
    assert "running" in shown


@pytest.mark.usefixtures("refused")
def test_spool_shows_rejected_rows_with_their_reasons() -> None:
    shown = run("spool").stdout
    (batch,) = json.loads(run("spool", "--json").stdout)["rejected"]

    assert "Constraint `known`" in shown
    assert "audit-handler replay" in shown
    assert f"{batch['bytes']:,} of {256 * 1024**2:,} bytes" in shown
    assert (2, ["2", "4"]) == (batch["rows"], list(batch["reasons"]))


def test_looking_at_a_spool_changes_nothing(tmp_path: Path) -> None:
    die_with_three_rows()
    before = sorted(tmp_path.rglob("*"))
    run("spool")
    run("spool", "export")

    assert before == sorted(tmp_path.rglob("*"))


def test_a_spool_in_memory_cannot_be_looked_at() -> None:
    result = run("spool", "--spool-dir", "memory")

    assert (2, True) == (result.exit_code, "--spool-dir" in result.output)


def test_reasons_and_values_reach_the_terminal_without_control_characters(
    tmp_path: Path,
) -> None:
    die_with_three_rows()
    (target,) = (path for path in (tmp_path / "spool").iterdir() if path.is_dir())
    rejected = target / "rejected"
    rejected.mkdir()
    evil = "\x1b[2J\x9b31m\u202e"
    (rejected / "w-1-1.ndjson").write_text(json.dumps({"seq": 1, "agent_id": evil}) + "\n")
    reasons = {"rows": [{"seq": 1, "code": 27, "reason": f"row {evil} is bad"}]}
    (rejected / "w-1-1.error.json").write_text(json.dumps(reasons))
    for arguments in ([], ["--json"], ["export"], ["export", "--format", "csv"]):
        output = run("spool", *arguments).output

        assert not set("\x1b\x9b\u202e") & set(output)
        assert "1b[2J" in output


@pytest.fixture
def dsn(faults: LoopbackClickHouse, database: str) -> str:
    dsn = faults.dsn(database)
    run("init", "--dsn", dsn)
    return dsn
