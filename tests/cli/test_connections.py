"""The messages of all commands about a database or table that they cannot use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.commands import run
from tests.support.loopback import LoopbackClickHouse
from tests.support.older import create_older_table

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]

EVENT = "00000000-0000-7000-8000-000000000000"


def test_reading_does_not_create_an_embedded_database(tmp_path: Path) -> None:
    result = run("search", "--dsn", f"chdb://{tmp_path}/typo")

    assert (3, False) == (result.exit_code, (tmp_path / "typo").exists())
    assert "audit-handler init" in result.stderr


@pytest.mark.parametrize("name", ["init", "check", "search"])
def test_a_directory_for_another_purpose_does_not_become_a_database(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("")
    result = run(name, "--dsn", f"chdb://{tmp_path}/etc")

    assert 0 != result.exit_code
    assert "holds other files, and no database of chDB" in result.output
    assert ["passwd"] == [path.name for path in (tmp_path / "etc").iterdir()]


def test_a_directory_that_cannot_be_created_is_not_reported_as_locked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("init", "--dsn", f"chdb://{tmp_path}/file/db")

    assert 3 == result.exit_code
    assert f"{tmp_path}/file/db cannot be created: Not a directory" in result.stderr
    assert "another process" not in result.stderr


@pytest.mark.parametrize(
    "command",
    [["load", "1"], ["search"], ["tail"], ["show", EVENT], ["report"], ["verify-completeness"]],
)
def test_a_table_that_cannot_be_read_yet_names_init(
    command: list[str], faults: LoopbackClickHouse, database: str
) -> None:
    missing = run(*command, "--dsn", faults.dsn(database))
    create_older_table(faults, database)
    older = run(*command, "--dsn", faults.dsn(database))

    assert [3, 3] == [missing.exit_code, older.exit_code]
    assert "does not exist" in missing.stderr
    assert "has the layout of 2025" in older.stderr
    assert ["audit-handler init"] * 2 == [
        each for told in (missing, older) for each in re.findall("audit-handler init", told.stderr)
    ]


def test_a_reader_who_may_not_read_gets_the_name_of_the_grant(
    dsn: str, faults: LoopbackClickHouse
) -> None:
    faults.deny("^SELECT .*event_time")
    try:
        result = run("search", "--dsn", dsn)
    finally:
        faults.deny()

    assert 3 == result.exit_code
    assert "grant SELECT on the table" in result.stderr
