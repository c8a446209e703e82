"""The commands about rows that are not in ClickHouse: ``spool`` and ``replay``."""

from __future__ import annotations

import csv
import json
import logging
import stat
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from click.testing import Result

from audit_handler import AuditHandler
from tests.support.commands import audit, die_with_three_rows, run
from tests.support.engines import completeness
from tests.support.loopback import LoopbackClickHouse

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]

AWAY = "http://127.0.0.1:1/away"


@pytest.fixture
def refused(
    faults: LoopbackClickHouse, database: str, make_handler: Callable[..., AuditHandler]
) -> str:
    """Two of four rows are refused by a constraint; the dsn."""
    dsn = faults.dsn(database)
    run("init", "--dsn", dsn)
    faults.command(
        f"ALTER TABLE {database}.audit_logs ADD CONSTRAINT known CHECK agent_id != 'stranger'"
    )
    handler = make_handler(dsn)
    for number in range(4):
        audit(handler, agent_id="stranger" if number % 2 else "u-1", resource_id=str(number))
    assert not handler.flush(30.0)
    handler.close()
    return dsn


def test_an_empty_spool_says_so(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    result = run("spool")

    assert (0, True) == (result.exit_code, "nothing waits" in result.output)
    assert [] == list((tmp_path / "spool").iterdir())


@pytest.mark.parametrize("command", [["spool"], ["spool", "export"], ["replay", "--dsn", AWAY]])
def test_a_spool_that_is_not_there_is_not_called_empty(command: list[str], tmp_path: Path) -> None:
    result = run(*command)

    assert (2, True) == (result.exit_code, f"no spool in {tmp_path}/spool" in result.stderr)
    assert "run this as that user" in result.stderr
    assert not (tmp_path / "spool").exists()


def test_spool_shows_what_waits_of_the_living_and_the_dead(
    make_handler: Callable[..., AuditHandler],
) -> None:
    die_with_three_rows()
    handler = make_handler("http://127.0.0.1:1/other", flush_interval_ms=3_600_000)
    audit(handler)
    waiting = json.loads(run("spool", "--json").stdout)["waiting"]
    shown = run("spool").stdout

    assert {(3, False), (1, True)} == {(each["rows"], each["is_alive"]) for each in waiting}
    assert all(0 <= each["oldest_seconds"] < 3600 for each in waiting)
    assert "has ended" in shown
    assert "lives" in shown


@pytest.mark.usefixtures("refused")
def test_spool_shows_what_was_refused_and_why() -> None:
    shown = run("spool").stdout
    (batch,) = json.loads(run("spool", "--json").stdout)["rejected"]

    assert "Constraint `known`" in shown
    assert "audit-handler replay" in shown
    assert (2, ["2", "4"]) == (batch["rows"], list(batch["reasons"]))


def test_looking_at_a_spool_changes_nothing(tmp_path: Path) -> None:
    die_with_three_rows()
    before = sorted(tmp_path.rglob("*"))
    run("spool")
    run("spool", "export")

    assert before == sorted(tmp_path.rglob("*"))


def test_a_torn_last_line_is_not_shown(tmp_path: Path) -> None:
    die_with_three_rows()
    (segment,) = tmp_path.rglob("*.open")
    with segment.open("ab") as file:
        file.write(b'{"writer_id":"half')
    rows = run("spool", "export").stdout.splitlines()

    assert ["0", "1", "2"] == [json.loads(row)["resource_id"] for row in rows]


def test_export_shows_a_line_that_the_disk_has_damaged(tmp_path: Path) -> None:
    """The rows behind it were not exported."""
    die_with_three_rows()
    (segment,) = tmp_path.rglob("*.open")
    first, second, third = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(first + second.replace(b'"seq"', b"\x00\xff\x00") + third)
    rows = [json.loads(line) for line in run("spool", "export").stdout.splitlines()]

    assert ["0", None, "2"] == [row.get("resource_id") for row in rows]
    assert "\\xff" in rows[1]["_damaged"]


@pytest.mark.usefixtures("refused")
def test_export_holds_what_waits_and_what_was_refused() -> None:
    die_with_three_rows()
    rows = [json.loads(line) for line in run("spool", "export").stdout.splitlines()]

    assert ["waiting"] * 3 + ["rejected"] * 2 == [row["spool_state"] for row in rows]
    assert ["stranger"] * 2 == [row["agent_id"] for row in rows[3:]]
    assert all("known" in row["spool_reason"] for row in rows[3:])


@pytest.mark.parametrize("where", ["before", "after"])
def test_export_takes_the_spool_on_either_side_of_its_name(where: str, tmp_path: Path) -> None:
    die_with_three_rows()
    option = ["--spool-dir", tmp_path / "spool"]
    arguments = ["spool", *option, "export"] if where == "before" else ["spool", "export", *option]
    result = run(*arguments, env={"AUDIT_SPOOL_DIR": str(tmp_path / "other")})

    assert 3 == len(result.stdout.splitlines())


def test_export_to_csv_has_a_column_for_every_column() -> None:
    die_with_three_rows()
    rows = list(csv.DictReader(StringIO(run("spool", "export", "--format", "csv").stdout)))

    assert ["0", "1", "2"] == [row["resource_id"] for row in rows]
    assert ["waiting"] * 3 == [row["spool_state"] for row in rows]


def test_export_to_parquet_reads_back(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    die_with_three_rows()
    output = tmp_path / "rows.parquet"
    result = run("spool", "export", "--format", "parquet", "-o", output)
    read = parquet.read_table(output).to_pylist()

    assert "3 rows in" in result.stderr
    assert [(1, "DIE"), (2, "DIE"), (3, "DIE")] == [(row["seq"], row["action"]) for row in read]


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet"])
def test_an_exported_file_is_for_its_user_alone(form: str, tmp_path: Path) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow.parquet")
    die_with_three_rows()
    output = tmp_path / "rows"
    result = run("spool", "export", "--format", form, "-o", output)

    assert f"3 rows in {output}" in result.stderr
    assert 0o600 == stat.S_IMODE(output.stat().st_mode)


def test_parquet_on_a_terminal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    result = run("spool", "export", "--format", "parquet")

    assert (2, True) == (result.exit_code, "--output" in result.output)


def test_a_file_that_cannot_be_written_is_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    result = run("spool", "export", "-o", tmp_path / "missing" / "rows")

    assert (3, True) == (result.exit_code, "No such file or directory" in result.stderr)


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


def test_replay_as_json(refused: str, faults: LoopbackClickHouse, database: str) -> None:
    before = run("replay", "--dsn", refused, "--json")
    faults.command(f"ALTER TABLE {database}.audit_logs DROP CONSTRAINT known")
    after = run("replay", "--dsn", refused, "--json")

    assert (1, 0) == (before.exit_code, after.exit_code)
    assert {"stored": 0, "known": 0, "refused": 2, "elsewhere": {}} == json.loads(before.stdout)
    assert {"stored": 2, "known": 0, "refused": 0, "elsewhere": {}} == json.loads(after.stdout)


def test_replay_writes_down_why_a_row_is_refused_again(
    refused: str, faults: LoopbackClickHouse, database: str
) -> None:
    table = f"{database}.audit_logs"
    faults.command(f"ALTER TABLE {table} DROP CONSTRAINT known")
    faults.command(f"ALTER TABLE {table} ADD CONSTRAINT other CHECK agent_id != 'stranger'")
    run("replay", "--dsn", refused)
    (batch,) = json.loads(run("spool", "--json").stdout)["rejected"]

    assert ["2", "4"] == list(batch["reasons"])
    assert all("Constraint `other`" in reason for reason in batch["reasons"].values())


def test_replay_names_the_table_that_rows_were_refused_by(refused: str, tmp_path: Path) -> None:
    (target,) = (path for path in (tmp_path / "spool").iterdir() if path.is_dir())
    result = run("replay", "--dsn", refused, "--table", "other")

    assert (1, "stored 0, known already 0") == (result.exit_code, result.stdout[:25])
    assert f"2 rows of {target.name} are for another table" in result.stderr
    assert "--dsn, --database and --table" in result.stderr


def test_a_damaged_line_stays_and_does_not_keep_others_from_replay(
    refused: str, faults: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    """It ended the replay for every file behind it; so did a file without its reasons."""
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


def test_a_row_that_is_stored_leaves_its_file_although_others_are_refused_again(
    refused: str, faults: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    """Where nobody may look up what is stored, and no token is kept, it was stored each time."""
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


def test_replay_stores_what_was_refused_once_it_fits_and_never_twice(
    loopback: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    """Rows refused by a constraint of the user's; it is dropped, and they are replayed, twice."""
    options = {"dsn": loopback.dsn("default"), "database": database, "spool_dir": tmp_path}
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

    assert (1, True) == (before.exit_code, "refused again 2" in before.output)
    assert [0, 0] == [result.exit_code for result in after]
    assert "stored 2, known already 0, refused again 0" in after[0].output
    assert "stored 0, known already 0, refused again 0" in after[1].output
    assert [{"rows": 10, "gaps": 0, "repeats": 0}] == completeness(loopback, table)


def test_replay_of_a_file_that_was_stored_already_stores_nothing(
    loopback: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    """It was interrupted after the insert and before the file was removed."""
    options = {"dsn": loopback.dsn("default"), "database": database, "spool_dir": tmp_path}
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

    assert "stored 0, known already 1, refused again 0" in result.output
    assert [{"rows": 1, "gaps": 0, "repeats": 0}] == completeness(
        loopback, f"{database}.audit_logs"
    )


# Rows that wait for a target that nobody serves any more


def moved(dsn: str, target: Path, *arguments: object, **options: object) -> Result:
    return run("spool", "move", target.name, "--dsn", dsn, *arguments, **options)


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The directory of a target with three rows of a process that was killed."""
    die_with_three_rows()
    (target,) = (path for path in (tmp_path / "spool").iterdir() if path.is_dir())
    return target


@pytest.fixture
def dsn(faults: LoopbackClickHouse, database: str) -> str:
    dsn = faults.dsn(database)
    run("init", "--dsn", dsn)
    return dsn


def test_move_sends_what_waits_for_another_target_to_this_one(
    left: Path, dsn: str, faults: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    (writer,) = (path.name for path in left.iterdir())
    result = moved(dsn, left, "--yes")

    assert (0, "3 rows moved; 3 stored, 0 refused\n") == (result.exit_code, result.stdout)
    assert [{"writer_id": writer, "rows": 3}] == faults.query(
        f"SELECT writer_id, count() AS rows FROM {database}.audit_logs GROUP BY writer_id"
    )
    assert [{"rows": 3, "gaps": 0, "repeats": 0}] == completeness(faults, f"{database}.audit_logs")
    assert [] == [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]
    assert not left.exists()


def test_move_asks_first(left: Path, dsn: str, faults: LoopbackClickHouse, database: str) -> None:
    before = sorted(left.rglob("*"))
    result = moved(dsn, left, input="n\n")

    assert (1, True) == (result.exit_code, "send 3 rows, and 0 that were refused" in result.stderr)
    assert before == sorted(left.rglob("*"))
    assert [] == completeness(faults, f"{database}.audit_logs")


def test_move_that_is_interrupted_can_be_run_again(
    left: Path, dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    """Its insert was executed, and its answer lost; and no token is kept."""
    faults.command(
        f"ALTER TABLE {database}.audit_logs MODIFY SETTING non_replicated_deduplication_window = 0"
    )
    faults.fault("execute_then_reset")
    first, second = (moved(dsn, left, "--yes") for _ in range(2))

    assert [3, 0] == [first.exit_code, second.exit_code]
    assert "3 rows moved; they wait for" in first.stderr
    assert "0 rows moved; 3 stored, 0 refused\n" == second.stdout
    assert [{"rows": 3, "gaps": 0, "repeats": 0}] == completeness(faults, f"{database}.audit_logs")


def test_move_takes_what_was_refused_along_for_replay(
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
    assert (0, "stored 3,") == (replayed.exit_code, replayed.stdout[:9])
    assert [{"rows": 3, "gaps": 0, "repeats": 0}] == completeness(faults, f"{database}.audit_logs")


def test_move_leaves_the_rows_of_processes_that_live(
    dsn: str, make_handler: Callable[..., AuditHandler], tmp_path: Path
) -> None:
    handler = make_handler(AWAY, flush_interval_ms=3_600_000)
    audit(handler)
    target = tmp_path / "spool" / handler.settings.target.directory_name
    result = moved(dsn, target, "--yes")

    assert "1 rows stay: they are of processes that live" in result.stderr
    assert 1 == len(list(target.rglob("*.open")))


def test_move_to_a_table_that_is_not_there_moves_nothing(left: Path, dsn: str) -> None:
    before = sorted(left.rglob("*"))
    result = moved(dsn, left, "--yes", "--table", "typo")

    assert (3, True) == (result.exit_code, "nothing was moved" in result.stderr)
    assert before == sorted(left.rglob("*"))


def test_move_of_a_target_that_is_none_names_the_others(left: Path, dsn: str) -> None:
    result = moved(dsn, Path("typo"), "--yes")

    assert (2, True) == (result.exit_code, left.name in "".join(result.stderr.split()))
