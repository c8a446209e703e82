"""``spool export``: every row of the spool in every format."""

from __future__ import annotations

import csv
import json
import stat
from io import StringIO
from pathlib import Path

import pytest

from tests.support.commands import die_with_three_rows, run

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


def test_a_torn_last_line_is_not_shown(tmp_path: Path) -> None:
    die_with_three_rows()
    (segment,) = tmp_path.rglob("*.open")
    with segment.open("ab") as file:
        file.write(b'{"writer_id":"half')
    rows = run("spool", "export").stdout.splitlines()

    assert ["0", "1", "2"] == [json.loads(row)["resource_id"] for row in rows]


def test_export_shows_a_line_that_the_disk_has_damaged(tmp_path: Path) -> None:
    """The rows after the damaged one were not exported."""
    die_with_three_rows()
    (segment,) = tmp_path.rglob("*.open")
    first, second, third = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(first + second.replace(b'"seq"', b"\x00\xff\x00") + third)
    rows = [json.loads(line) for line in run("spool", "export").stdout.splitlines()]

    assert ["0", None, "2"] == [row.get("resource_id") for row in rows]
    assert "\\xff" in rows[1]["_damaged"]


@pytest.mark.usefixtures("refused")
def test_export_holds_waiting_and_rejected_rows() -> None:
    die_with_three_rows()
    rows = [json.loads(line) for line in run("spool", "export").stdout.splitlines()]

    assert ["waiting"] * 3 + ["rejected"] * 2 == [row["spool_state"] for row in rows]
    assert ["stranger"] * 2 == [row["agent_id"] for row in rows[3:]]
    assert all("known" in row["spool_reason"] for row in rows[3:])


@pytest.mark.parametrize("where", ["before", "after"])
def test_export_accepts_spool_dir_before_and_after_its_name(where: str, tmp_path: Path) -> None:
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
def test_only_the_user_can_read_an_exported_file(form: str, tmp_path: Path) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow.parquet")
    die_with_three_rows()
    output = tmp_path / "rows"
    result = run("spool", "export", "--format", form, "-o", output)

    assert f"3 rows in {output}" in result.stderr
    assert 0o600 == stat.S_IMODE(output.stat().st_mode)


def test_parquet_on_a_terminal_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    result = run("spool", "export", "--format", "parquet")

    assert (2, True) == (result.exit_code, "--output" in result.output)


def test_a_file_that_cannot_be_written_is_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    result = run("spool", "export", "-o", tmp_path / "missing" / "rows")

    assert (3, True) == (result.exit_code, "No such file or directory" in result.stderr)
