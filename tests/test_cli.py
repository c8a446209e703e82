"""The command line, called as the console script calls it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from audit_handler.cli import main
from tests.conftest import Engine
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


def test_a_server_that_is_away_is_exit_code_1() -> None:
    result = CliRunner().invoke(main, ["init", "--dsn", "http://127.0.0.1:1"])

    assert result.exit_code == 1
    assert "refused" in result.output


def test_a_missing_dsn_is_exit_code_2() -> None:
    result = CliRunner().invoke(main, ["init"])

    assert result.exit_code == 2
    assert "CLICKHOUSE_URL" in result.output
