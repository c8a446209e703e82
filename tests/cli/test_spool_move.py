"""``spool move``: rows of a target that is no longer used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from audit_handler import AuditHandler
from tests.support.commands import audit, die_with_three_rows, run
from tests.support.engines import completeness
from tests.support.loopback import LoopbackClickHouse

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]

AWAY = "http://127.0.0.1:1/away"


def moved(dsn: str, target: Path, *arguments: object, **options: object) -> Result:
    return run("spool", "move", target.name, "--dsn", dsn, *arguments, **options)


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The directory of a target with three rows of a process that was killed."""
    die_with_three_rows()
    (target,) = (path for path in (tmp_path / "spool").iterdir() if path.is_dir())
    return target


def test_move_sends_rows_that_wait_for_another_target_to_this_one(
    left: Path, dsn: str, faults: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    (writer,) = (path.name for path in left.iterdir())
    result = moved(dsn, left, "--yes")

    assert (0, "3 rows moved; 3 stored, 0 rejected\n") == (result.exit_code, result.stdout)
    assert [{"writer_id": writer, "rows": 3}] == faults.query(
        f"SELECT writer_id, count() AS rows FROM {database}.audit_logs GROUP BY writer_id"
    )
    assert [{"rows": 3, "gaps": 0, "repeats": 0}] == completeness(faults, f"{database}.audit_logs")
    assert [] == [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]
    assert not left.exists()


def test_move_asks_first(left: Path, dsn: str, faults: LoopbackClickHouse, database: str) -> None:
    before = sorted(left.rglob("*"))
    result = moved(dsn, left, input="n\n")

    assert (1, True) == (result.exit_code, "Send 3 waiting and 0 rejected rows to" in result.stderr)
    assert before == sorted(left.rglob("*"))
    assert [] == completeness(faults, f"{database}.audit_logs")


def test_move_that_is_interrupted_can_be_run_again(
    left: Path, dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    """The insert was executed, its answer was lost, and the table keeps no token."""
    faults.command(
        f"ALTER TABLE {database}.audit_logs MODIFY SETTING non_replicated_deduplication_window = 0"
    )
    faults.fault("execute_then_reset")
    first, second = (moved(dsn, left, "--yes") for _ in range(2))

    assert [3, 0] == [first.exit_code, second.exit_code]
    assert "3 rows moved; they now wait for" in first.stderr
    assert "0 rows moved; 3 stored, 0 rejected\n" == second.stdout
    assert [{"rows": 3, "gaps": 0, "repeats": 0}] == completeness(faults, f"{database}.audit_logs")


def test_move_takes_rejected_rows_along_for_replay(
    left: Path, dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    (writer,) = left.iterdir()
    (segment,) = writer.glob("*.open")
    (left / "rejected").mkdir()
    segment.rename(left / "rejected" / "w-1-3.ndjson")
    (left / "rejected" / "w-1-3.error.json").write_text('{"rows": []}')
    told = moved(dsn, left, "--yes")
    replayed = run("replay", "--dsn", dsn)

    assert (0, "3 rows moved; 0 stored") == (told.exit_code, told.stdout[:22])
    assert (0, "3 rows stored") == (replayed.exit_code, replayed.stdout[:13])
    assert [{"rows": 3, "gaps": 0, "repeats": 0}] == completeness(faults, f"{database}.audit_logs")


def test_move_leaves_the_rows_of_running_processes(
    dsn: str, make_handler: Callable[..., AuditHandler], tmp_path: Path
) -> None:
    handler = make_handler(AWAY, flush_interval_ms=3_600_000)
    audit(handler)
    target = tmp_path / "spool" / handler.settings.target.directory_name
    result = moved(dsn, target, "--yes")

    assert "1 rows stay, because their processes are running" in result.stderr
    assert 1 == len(list(target.rglob("*.open")))


def test_move_to_a_missing_table_moves_nothing(left: Path, dsn: str) -> None:
    before = sorted(left.rglob("*"))
    result = moved(dsn, left, "--yes", "--table", "typo")

    assert (3, True) == (result.exit_code, "no row was moved" in result.stderr)
    assert before == sorted(left.rglob("*"))


def test_move_of_an_unknown_target_names_the_others(left: Path, dsn: str) -> None:
    result = moved(dsn, Path("typo"), "--yes")

    assert (2, True) == (result.exit_code, left.name in "".join(result.stderr.split()))
