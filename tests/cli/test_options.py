"""The sources of a command's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import run
from tests.support.loopback import LoopbackClickHouse

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


def test_init_reads_a_dotenv_file(
    loopback: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    # A database in the dsn's path wins over CLICKHOUSE_DATABASE, so this one names none.
    (tmp_path / ".env").write_text(
        f"CLICKHOUSE_URL=http://127.0.0.1:{loopback.port}\nCLICKHOUSE_DATABASE={database}\n"
    )
    (tmp_path / ".env").chmod(0o600)
    result = run("init")
    tables = loopback.query(f"SHOW TABLES FROM {database}")

    assert (0, ["audit_logs"]) == (result.exit_code, [row["name"] for row in tables])


def test_a_missing_dsn_is_exit_code_2() -> None:
    result = run("init")

    assert result.exit_code == 2
    assert "CLICKHOUSE_URL" in result.output
    assert "--dsn" in result.output
    assert "AuditHandler" not in result.output


def test_a_password_of_the_environment_wins_over_one_of_a_dotenv_file(
    guarded: LoopbackClickHouse, tmp_path: Path
) -> None:
    """Even if one of them is a file."""
    (tmp_path / "password").write_text(f"{guarded.password}\n")
    (tmp_path / ".env").write_text("CLICKHOUSE_PASSWORD=stale\n")
    (tmp_path / ".env").chmod(0o600)
    environment = {
        "CLICKHOUSE_URL": f"http://127.0.0.1:{guarded.port}",
        "CLICKHOUSE_USER": guarded.user,
        "CLICKHOUSE_PASSWORD_FILE": str(tmp_path / "password"),
    }

    assert 0 == run("search", env=environment).exit_code
