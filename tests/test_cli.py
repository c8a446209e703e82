"""The command line, called as the console script calls it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from click.testing import CliRunner

from audit_handler import AuditHandler
from audit_handler.cli import main
from tests.conftest import Engine, completeness
from tests.loopback import LoopbackClickHouse


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("URL", "PORT", "USER", "PASSWORD", "PASSWORD_FILE", "DATABASE", "CLUSTER"):
        monkeypatch.delenv(f"CLICKHOUSE_{name}", raising=False)
    monkeypatch.chdir(tmp_path)


def tables(engine: Engine, database: str) -> list[str]:
    rows = engine.query(f"SELECT name FROM system.tables WHERE database = '{database}'")
    return [row["name"] for row in rows]


def test_init_creates_database_and_table_and_may_run_again(engine: Engine, database: str) -> None:
    arguments = ["init", "--dsn", engine.dsn("default"), "--database", database]
    results = [CliRunner().invoke(main, arguments) for _ in range(2)]

    assert [0, 0] == [result.exit_code for result in results]
    assert "ready: http://" in results[0].output
    assert ["audit_logs"] == tables(engine, database)


def test_init_reads_a_dotenv_file(
    loopback: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    # A database in the dsn's path wins over CLICKHOUSE_DATABASE, so this one names none.
    (tmp_path / ".env").write_text(
        f"CLICKHOUSE_URL=http://127.0.0.1:{loopback.port}\nCLICKHOUSE_DATABASE={database}\n"
    )
    result = CliRunner().invoke(main, ["init"])

    assert (0, ["audit_logs"]) == (result.exit_code, tables(loopback, database))


def test_print_shows_the_sql_and_runs_nothing() -> None:
    arguments = ["init", "--dsn", "http://127.0.0.1:1", "--table", "trail", "--print"]
    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 0
    assert "CREATE TABLE IF NOT EXISTS audit_db.trail\n" in result.output


def test_a_server_that_is_away_is_exit_code_3() -> None:
    result = CliRunner().invoke(main, ["init", "--dsn", "http://127.0.0.1:1"])

    assert result.exit_code == 3
    assert "refused" in result.output


def test_a_missing_dsn_is_exit_code_2() -> None:
    result = CliRunner().invoke(main, ["init"])

    assert result.exit_code == 2
    assert "CLICKHOUSE_URL" in result.output


def test_replay_stores_what_was_refused_once_it_fits_and_never_twice(
    loopback: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    """Rows refused by a constraint of the user's; it is dropped, and they are replayed, twice."""
    options = {"dsn": loopback.dsn("default"), "database": database, "spool_dir": tmp_path}
    CliRunner().invoke(main, ["init", "--dsn", options["dsn"], "--database", database])
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
    before = CliRunner().invoke(main, arguments)
    loopback.command(f"ALTER TABLE {table} DROP CONSTRAINT known")
    after = [CliRunner().invoke(main, arguments) for _ in range(2)]

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
    result = CliRunner().invoke(main, [*arguments, "--spool-dir", str(tmp_path)])

    assert "stored 0, known already 1, refused again 0" in result.output
    assert [{"rows": 1, "gaps": 0, "repeats": 0}] == completeness(
        loopback, f"{database}.audit_logs"
    )
