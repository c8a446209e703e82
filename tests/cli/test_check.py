"""``check``: each step, its state and its remedy."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from audit_handler.cli._check import _impatient
from audit_handler.config import Settings
from tests.support.commands import check_steps, command, die_with_three_rows, environment_with, run
from tests.support.loopback import LoopbackClickHouse, LoopbackError
from tests.support.older import create_older_table

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]

AWAY = "http://127.0.0.1:1"


def test_check_finds_nothing_where_all_is_well(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    found = check_steps("--dsn", dsn)

    names = ["address", "encoder", "connection", "clock", "database", "table", "deduplication"]
    assert [*names, "test row", "spool"] == list(found)
    assert {"ok"} == {state for state, _, _ in found.values()}
    assert [] == list((tmp_path / "spool").iterdir())


def test_the_test_row_stays_and_says_what_it_is(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    check_steps("--dsn", dsn)
    check_steps("--dsn", dsn, "--no-row")

    assert [{"action": "AUDIT_CHECK", "seq": 1}] == faults.query(
        f"SELECT action, seq FROM {database}.audit_logs"
    )


def test_check_of_a_server_that_is_down_names_address_and_port() -> None:
    found = check_steps("--dsn", AWAY)

    state, _, remedy = found["connection"]
    assert "failed" == state
    assert "check host and port" in remedy
    state, detail, _ = found["table"]
    assert ("skipped", True) == (state, detail.endswith(": connection"))
    assert "ok" == found["spool"][0]


def test_check_of_a_server_that_does_not_answer_names_the_firewall(
    dsn: str, faults: LoopbackClickHouse
) -> None:
    with faults.faulted("hang", match="^SELECT version", times=-1):
        found = check_steps("--dsn", f"{dsn}?send_receive_timeout=1")

    state, _, remedy = found["connection"]
    assert "failed" == state
    assert "firewall" in remedy


def test_check_says_on_a_terminal_what_it_waits_for(dsn: str, faults: LoopbackClickHouse) -> None:
    faults.fault("hang", match="^SELECT version", times=-1)
    with subprocess.Popen(
        command("check", "--dsn", dsn),
        env=environment_with({"FORCE_COLOR": "1"}),
        stdout=subprocess.PIPE,
    ) as checking:
        try:
            assert checking.stdout is not None
            told = b""
            while b"connection" not in told:
                told += os.read(checking.stdout.fileno(), 4096)
        finally:
            checking.kill()
            faults.clear_faults()

    # Address and encoder, which need no connection, are checked before.
    assert 2 == told.count(b"ok      ")
    assert b"failed" not in told


def test_check_waits_ten_seconds_by_default() -> None:
    given = _impatient(Settings.resolve({"dsn": f"{AWAY}?connect_timeout=3"}, {}).target)

    assert {"connect_timeout": "3", "send_receive_timeout": 10} == given.client_options


def test_check_of_a_host_that_does_not_exist_names_the_host() -> None:
    assert "cannot resolve" in check_steps("--dsn", "http://nowhere.invalid")["connection"][2]


def test_check_with_a_wrong_password_names_user_and_password(guarded: LoopbackClickHouse) -> None:
    """The password is right at first; then the server's password changes."""
    dsn, password = guarded.dsn(), "p4ss:w/rd"
    before = check_steps("--dsn", dsn)
    guarded.set_password("n3w:p4ss")
    try:
        after = check_steps("--dsn", dsn)
    finally:
        guarded.set_password(password)

    assert "ok" == before["connection"][0]
    state, detail, remedy = after["connection"]
    assert "failed" == state
    assert "code 516" in detail
    assert "CLICKHOUSE_PASSWORD" in remedy


def test_check_of_a_missing_database_names_init(faults: LoopbackClickHouse, database: str) -> None:
    state, detail, remedy = check_steps("--dsn", faults.dsn(database))["database"]

    assert "failed" == state
    assert "visible: " in detail
    assert "audit-handler init" in remedy


def test_check_of_a_missing_table_names_init(dsn: str) -> None:
    state, _, remedy = check_steps("--dsn", dsn, "--table", "trail")["table"]

    assert "failed" == state
    assert "audit-handler init" in remedy


def test_check_of_a_missing_column_names_it_and_init_adds_it(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    faults.command(f"ALTER TABLE {database}.audit_logs DROP COLUMN user_agent")
    before = check_steps("--dsn", dsn)
    run("init", "--dsn", dsn)
    after = check_steps("--dsn", dsn)

    assert ("failed", f"{database}.audit_logs lacks the columns user_agent") == before["table"][:2]
    assert ("skipped", "ok") == (before["test row"][0], after["table"][0])


def test_check_of_a_missing_index_is_a_warning(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    faults.command(f"ALTER TABLE {database}.audit_logs DROP INDEX ix_trace_id")
    found = check_steps("--dsn", dsn)

    assert ("warning", "ok") == (found["table"][0], found["test row"][0])
    assert "ix_trace_id" in found["table"][1]


def test_check_reports_an_alter_that_cannot_finish(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    table = f"{database}.audit_logs"
    faults.command(f"INSERT INTO {table} (event_time, message) VALUES (now(), 'no number')")
    with pytest.raises(LoopbackError):
        faults.command(
            f"ALTER TABLE {table} UPDATE status_code = toUInt16(message) WHERE 1 "
            "SETTINGS mutations_sync = 1"
        )
    state, detail, remedy = check_steps("--dsn", dsn, "--no-row")["table"]
    faults.command(f"KILL MUTATION WHERE database = '{database}'")

    assert ("warning", True) == (state, "UPDATE status_code" in detail)
    assert f"KILL MUTATION WHERE database = '{database}' AND table = 'audit_logs'" in remedy


def test_check_of_a_table_of_2025_warns_and_stores_its_row(
    faults: LoopbackClickHouse, database: str
) -> None:
    create_older_table(faults, database)
    found = check_steps("--dsn", faults.dsn(database))

    assert ("warning", "ok") == (found["table"][0], found["test row"][0])
    assert "audit-handler init" in found["table"][2]
    assert "nothing keeps a repeated insert from doubling rows" in found["deduplication"][1]


def test_check_of_a_table_that_forgets_tokens_names_the_setting(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    faults.command(
        f"ALTER TABLE {database}.audit_logs MODIFY SETTING non_replicated_deduplication_window = 0"
    )
    state, _, remedy = check_steps("--dsn", dsn)["deduplication"]

    assert "warning" == state
    assert remedy == (
        f"ALTER TABLE {database}.audit_logs MODIFY SETTING "
        "non_replicated_deduplication_window = 10000"
    )


def test_check_of_a_user_who_may_not_insert_names_the_grant(
    dsn: str, faults: LoopbackClickHouse
) -> None:
    faults.deny("^INSERT")
    try:
        state, detail, remedy = check_steps("--dsn", dsn)["test row"]
    finally:
        faults.deny()

    assert "failed" == state
    assert "code 497" in detail
    assert "grant INSERT" in remedy


def test_check_of_a_user_who_may_not_look_up_is_a_warning(
    dsn: str, faults: LoopbackClickHouse
) -> None:
    faults.deny("^SELECT seq")
    try:
        state, _, remedy = check_steps("--dsn", dsn)["test row"]
    finally:
        faults.deny()

    assert "warning" == state
    assert "grant SELECT(writer_id, seq, event_date)" in remedy


@pytest.mark.parametrize("below", ["", "spool"])
def test_check_of_a_spool_that_cannot_be_created_names_the_directory(
    below: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    spool = tmp_path / "file" / below
    state, detail, remedy = check_steps("--dsn", AWAY, "--spool-dir", spool)["spool"]

    assert "failed" == state
    assert str(tmp_path / "file") in detail
    assert "local directory" in remedy


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no file system that takes nothing")
def test_check_of_a_spool_tries_the_operations_of_the_handler() -> None:
    """The permissions of the parent allow the directory, and the file system does not."""
    state, detail, _ = check_steps("--dsn", AWAY, "--spool-dir", "/proc/spool")["spool"]

    assert ("failed", True) == (state, "/proc/spool" in detail)


def test_check_of_a_missing_spool_creates_nothing(tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    state, detail, _ = check_steps("--dsn", AWAY, "--spool-dir", tmp_path / "a" / "b")["spool"]

    assert ("ok", True) == (state, "the handler creates it" in detail)
    assert before == sorted(tmp_path.rglob("*"))


def test_check_of_a_spool_in_memory_is_a_warning() -> None:
    assert "warning" == check_steps("--dsn", AWAY, "--spool-dir", "memory")["spool"][0]


def test_check_reports_rows_that_no_process_delivers() -> None:
    """Their process has ended, and had another target."""
    die_with_three_rows("http://127.0.0.1:2/other_db")
    found = json.loads(run("check", "--dsn", AWAY, "--json").stdout)["steps"][-1]

    assert "3 rows of processes that have ended wait for other targets" == found["detail"]
    assert "start the application" in found["remedy"]


def test_check_prints_a_remedy_under_its_step() -> None:
    lines = run("check", "--dsn", AWAY).output.splitlines()

    (place,) = [n for n, line in enumerate(lines) if line.startswith("failed  connection")]
    assert lines[place + 1].startswith("        -> remedy     check host and port")
