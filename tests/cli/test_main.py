"""The command line's way from nothing to a searchable trail, and the remedies along it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_handler.cli._setup import _impatient
from audit_handler.config import Settings
from tests.support.commands import command, die_with_three_rows, environment_with, program, run
from tests.support.engines import Engine
from tests.support.loopback import LoopbackClickHouse, LoopbackError
from tests.support.older import create_older_table, fill_older_table

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]

AWAY = "http://127.0.0.1:1"
EVENT = "00000000-0000-7000-8000-000000000000"


def tables(engine: Engine, database: str) -> list[str]:
    rows = engine.query(f"SELECT name FROM system.tables WHERE database = '{database}'")
    return [row["name"] for row in rows]


@pytest.fixture
def dsn(faults: LoopbackClickHouse, database: str) -> str:
    """A database on the loopback server, with its table."""
    dsn = faults.dsn(database)
    assert run("init", "--dsn", dsn).exit_code == 0
    return dsn


# From nothing to a searchable trail


@pytest.mark.parametrize("place", ["http", "chdb"])
def test_a_new_operator_gets_a_searchable_trail(
    place: str, faults: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    """As real processes, with nothing but a dsn, and told at each wrong turn what comes next."""
    dsn = faults.dsn(database) if place == "http" else f"chdb://{tmp_path}/chdb/{database}"
    environment = {"CLICKHOUSE_URL": dsn}

    too_early = [program(*each, environment=environment) for each in (["search"], ["check"])]
    assert [3, 1] == [each.returncode for each in too_early]
    assert "audit-handler init" in too_early[0].stderr
    assert "audit-handler init" in too_early[1].stdout

    init = program("init", environment=environment)
    assert (0, "") == (init.returncode, init.stderr)
    assert "audit_logs is missing: created" in init.stdout

    checked = program("check", environment=environment)
    assert (0, "") == (checked.returncode, checked.stderr)
    assert "warning" not in checked.stdout

    loaded = program("load", "400", environment=environment)
    assert (0, "") == (loaded.returncode, loaded.stderr)
    assert re.match(r"400 rows in \d+ batches, [\d.]+ s, [\d,]+ rows/s\n", loaded.stdout)
    assert "all arrived, once" in loaded.stdout

    found = program(
        "search", "--user", "test-user-07", "--limit", "100", "--json", environment=environment
    )
    assert 20 == len(json.loads(found.stdout)["events"])

    whole = program("verify-completeness", environment=environment)
    assert (0, "complete: 401 rows of 2 writers") == (whole.returncode, whole.stdout[:31])


# init


def test_init_creates_database_and_table_and_may_run_again(engine: Engine, database: str) -> None:
    arguments = ["init", "--dsn", engine.dsn("default"), "--database", database]
    first, second = run(*arguments), run(*arguments)

    assert [0, 0] == [first.exit_code, second.exit_code]
    assert "ready: http://" in first.output
    assert f"table {database}.audit_logs is missing: created" in first.output
    assert "nothing to change" in second.output
    assert ["audit_logs"] == tables(engine, database)


def test_init_says_what_it_mends(dsn: str, faults: LoopbackClickHouse, database: str) -> None:
    faults.command(f"ALTER TABLE {database}.audit_logs DROP COLUMN user_agent")
    faults.command(f"ALTER TABLE {database}.audit_logs ADD COLUMN tenant String")
    result = run("init", "--dsn", dsn, "--json")
    columns = [row["name"] for row in faults.query(f"DESCRIBE TABLE {database}.audit_logs")]

    assert [f"column user_agent of {database}.audit_logs is missing: added"] == json.loads(
        result.output
    )["changed"]
    assert {"user_agent", "tenant"} <= set(columns)


def test_init_leaves_a_column_of_another_type_alone_and_says_so(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    table = f"{database}.audit_logs"
    faults.command(f"ALTER TABLE {table} MODIFY COLUMN status_code UInt32")
    faults.command(f"INSERT INTO {table} (event_time, status_code) VALUES (now(), 70000)")
    result = run("init", "--dsn", dsn)

    assert (0, "nothing to change") == (result.exit_code, result.stdout.splitlines()[0])
    assert f"left alone: column status_code of {table} is UInt32, not UInt16" in result.stderr
    assert [{"status_code": 70000}] == faults.query(f"SELECT status_code FROM {table}")


def test_init_refuses_a_table_for_something_else(faults: LoopbackClickHouse, database: str) -> None:
    faults.command(f"CREATE DATABASE {database}")
    faults.command(f"CREATE TABLE {database}.audit_logs (a String) ENGINE = MergeTree ORDER BY a")
    before = faults.command(f"SHOW CREATE TABLE {database}.audit_logs")
    init = run("init", "--dsn", faults.dsn(database))
    checked = steps("--dsn", faults.dsn(database))

    assert (3, before) == (
        init.exit_code,
        faults.command(f"SHOW CREATE TABLE {database}.audit_logs"),
    )
    assert "is no audit table" in init.stderr
    assert "name another table with --table" in checked["table"][2]


def test_init_keeps_rows_as_long_as_it_is_told(faults: LoopbackClickHouse, database: str) -> None:
    result = run("init", "--dsn", faults.dsn(database), "--retention", "90 DAY")
    (row,) = faults.query(f"SHOW CREATE TABLE {database}.audit_logs")

    assert 0 == result.exit_code
    assert "TTL event_date + toIntervalDay(90)" in row["statement"]


def test_init_does_not_change_the_retention_of_a_table_that_exists(dsn: str) -> None:
    result = run("init", "--dsn", dsn, "--retention", "90 DAY")

    assert "left alone: retention of audit_logs" in result.stderr


def test_init_upgrades_a_table_of_2025_and_says_so(
    faults: LoopbackClickHouse, database: str
) -> None:
    create_older_table(faults, database)
    fill_older_table(faults, database, 300)
    first, second = (run("init", "--dsn", faults.dsn(database)) for _ in range(2))
    (rows,) = faults.query(f"SELECT count() AS rows FROM {database}.audit_logs")

    assert [0, 0] == [first.exit_code, second.exit_code]
    assert "rows copied" in first.output
    assert "upgraded from the layout of 2025: 300 rows" in first.output
    assert f"stays as {database}.audit_logs_before_upgrade until" in first.output
    assert "nothing to change" in second.output
    assert 300 == rows["rows"]


def test_init_reads_a_dotenv_file(
    loopback: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    # A database in the dsn's path wins over CLICKHOUSE_DATABASE, so this one names none.
    (tmp_path / ".env").write_text(
        f"CLICKHOUSE_URL=http://127.0.0.1:{loopback.port}\nCLICKHOUSE_DATABASE={database}\n"
    )
    result = run("init")

    assert (0, ["audit_logs"]) == (result.exit_code, tables(loopback, database))


def test_print_shows_the_sql_and_runs_nothing() -> None:
    result = run("init", "--dsn", AWAY, "--table", "trail", "--print")

    assert result.exit_code == 0
    assert "CREATE TABLE IF NOT EXISTS audit_db.trail\n" in result.output


def test_print_for_a_cluster_shows_its_tables_as_json() -> None:
    result = run("init", "--dsn", AWAY, "--cluster", "main", "--print", "--json")

    assert 3 == len(json.loads(result.output)["statements"])
    assert "ON CLUSTER 'main'" in result.output


def test_a_dry_run_prints_what_would_be_run_and_runs_nothing(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    nothing = run("init", "--dsn", dsn, "--dry-run")
    faults.command(f"ALTER TABLE {database}.audit_logs DROP INDEX ix_trace_id")
    faults.command(f"ALTER TABLE {database}.audit_logs MODIFY COLUMN status_code UInt32")
    before = faults.command(f"SHOW CREATE TABLE {database}.audit_logs")
    missing = run("init", "--dsn", dsn, "--dry-run")

    assert (0, "") == (nothing.exit_code, nothing.stdout)
    assert "nothing to change" in nothing.stderr
    assert (
        f"ALTER TABLE {database}.audit_logs ADD INDEX IF NOT EXISTS ix_trace_id" in missing.stdout
    )
    assert 1 == missing.stdout.count(";\n")
    assert "column status_code" in missing.stderr
    assert before == faults.command(f"SHOW CREATE TABLE {database}.audit_logs")


def test_a_dry_run_of_an_upgrade_prints_its_statements(
    faults: LoopbackClickHouse, database: str
) -> None:
    create_older_table(faults, database)
    fill_older_table(faults, database, 300)
    planned = json.loads(run("init", "--dsn", faults.dsn(database), "--dry-run", "--json").stdout)
    made = tables(faults, database)
    run("init", "--dsn", faults.dsn(database))
    nothing = run("init", "--dsn", faults.dsn(database), "--dry-run", "--json")
    rename, *_, create, copy = planned["statements"]

    assert ["audit_logs"] == made
    assert "RENAME TABLE" in rename
    assert f"CREATE TABLE IF NOT EXISTS {database}.audit_logs" in create
    assert "INSERT INTO" in copy
    assert {"statements": []} == json.loads(nothing.stdout)


# How a command ends


@pytest.mark.parametrize(
    "command", [["init"], ["load", "1"], ["search"], ["tail"], ["report"], ["verify-completeness"]]
)
def test_a_server_that_is_away_is_exit_code_3_and_a_remedy(command: list[str]) -> None:
    result = run(*command, "--dsn", AWAY)

    assert (3, "") == (result.exit_code, result.stdout)
    assert "refused; check host and port in the dsn" in result.stderr


def test_a_missing_dsn_is_exit_code_2() -> None:
    result = run("init")

    assert result.exit_code == 2
    assert "CLICKHOUSE_URL" in result.output
    assert "--dsn" in result.output
    assert "AuditHandler" not in result.output


def test_a_password_of_the_environment_wins_over_one_of_a_dotenv_file(
    guarded: LoopbackClickHouse, tmp_path: Path
) -> None:
    """Also where the one is a file and the other is not."""
    (tmp_path / "password").write_text(f"{guarded.password}\n")
    (tmp_path / ".env").write_text("CLICKHOUSE_PASSWORD=stale\n")
    environment = {
        "CLICKHOUSE_URL": f"http://127.0.0.1:{guarded.port}",
        "CLICKHOUSE_USER": guarded.user,
        "CLICKHOUSE_PASSWORD_FILE": str(tmp_path / "password"),
    }
    result = run("search", env=environment)

    assert (0, "") == (result.exit_code, result.stdout)


@pytest.mark.parametrize("name", ["audit; DROP TABLE x", "audit`", "a.b"])
def test_a_name_that_is_no_plain_one_is_exit_code_2(name: str) -> None:
    result = run("search", "--dsn", AWAY, "--table", name)

    assert result.exit_code == 2
    assert "not a plain SQL name" in result.output


def test_an_embedded_database_that_is_not_there_is_not_made_by_reading(tmp_path: Path) -> None:
    result = run("search", "--dsn", f"chdb://{tmp_path}/typo")

    assert (3, False) == (result.exit_code, (tmp_path / "typo").exists())
    assert "audit-handler init" in result.stderr


@pytest.mark.parametrize("name", ["init", "check", "search"])
def test_a_directory_for_something_else_is_not_made_a_database(name: str, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("")
    result = run(name, "--dsn", f"chdb://{tmp_path}/etc")

    assert 0 != result.exit_code
    assert "holds other files, and no database of chDB" in result.output
    assert ["passwd"] == [path.name for path in (tmp_path / "etc").iterdir()]


def test_a_directory_that_cannot_be_made_is_not_called_locked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("init", "--dsn", f"chdb://{tmp_path}/file/db")

    assert 3 == result.exit_code
    assert f"{tmp_path}/file/db cannot be made: Not a directory" in result.stderr
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


@pytest.mark.parametrize("command", ["init", "check", "load", "search", "report", "spool"])
def test_help_names_the_options_of_the_command(command: str) -> None:
    assert "--json" in run(command, "--help").output


def test_help_explains_every_exit_code() -> None:
    told = run("--help").output

    assert [] == [code for code in "0123" if f"\n    {code}  " not in told]


# check


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackClickHouse]:
    """A server with a user."""
    path = tmp_path_factory.mktemp("guarded")
    with LoopbackClickHouse.start(path, user="writer", password="p4ss:w/rd") as server:
        assert run("init", "--dsn", server.dsn()).exit_code == 0
        yield server


def steps(*arguments: object) -> dict[str, tuple[str, str, str]]:
    """Return state, detail and remedy by step."""
    result = run("check", *arguments, "--json")
    found = json.loads(result.stdout)
    assert found["is_ok"] == (result.exit_code == 0)
    return {
        each["step"]: (each["state"], each["detail"], each["remedy"]) for each in found["steps"]
    }


def test_check_finds_nothing_where_all_is_well(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    found = steps("--dsn", dsn)

    names = ["connection", "clock", "database", "table", "deduplication", "test row", "spool"]
    assert names == list(found)
    assert {"ok"} == {state for state, _, _ in found.values()}
    assert [] == list((tmp_path / "spool").iterdir())


def test_the_test_row_stays_and_says_what_it_is(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    steps("--dsn", dsn)
    steps("--dsn", dsn, "--no-row")

    assert [{"action": "AUDIT_CHECK", "seq": 1}] == faults.query(
        f"SELECT action, seq FROM {database}.audit_logs"
    )


def test_check_of_a_server_that_is_down_names_address_and_port() -> None:
    found = steps("--dsn", AWAY)

    state, _, remedy = found["connection"]
    assert "failed" == state
    assert "check host and port" in remedy
    assert ("skipped", "fix first: connection", "") == found["table"]
    assert "ok" == found["spool"][0]


def test_check_of_a_server_that_does_not_answer_names_the_firewall(
    dsn: str, faults: LoopbackClickHouse
) -> None:
    with faults.faulted("hang", match="^SELECT version", times=-1):
        found = steps("--dsn", f"{dsn}?send_receive_timeout=1")

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
                told += checking.stdout.read1()
        finally:
            checking.kill()
            faults.clear_faults()

    assert [] == [state for state in (b"ok", b"failed") if state in told]


def test_check_waits_ten_seconds_unless_it_is_told_otherwise() -> None:
    given = _impatient(Settings.resolve({"dsn": f"{AWAY}?connect_timeout=3"}, {}).target)

    assert {"connect_timeout": "3", "send_receive_timeout": 10} == given.client_options


def test_check_of_a_host_that_does_not_exist_names_the_host() -> None:
    assert "cannot resolve" in steps("--dsn", "http://nowhere.invalid")["connection"][2]


def test_check_with_a_wrong_password_names_user_and_password(guarded: LoopbackClickHouse) -> None:
    """Right at first; then the server's password is changed."""
    dsn, password = guarded.dsn(), "p4ss:w/rd"
    before = steps("--dsn", dsn)
    guarded.set_password("n3w:p4ss")
    after = steps("--dsn", dsn)
    guarded.set_password(password)

    assert "ok" == before["connection"][0]
    state, detail, remedy = after["connection"]
    assert "failed" == state
    assert "code 516" in detail
    assert "CLICKHOUSE_PASSWORD" in remedy


@pytest.mark.parametrize(
    "command",
    ["init", "check", "load", "search", "tail", "report", "verify-completeness", "replay"],
)
def test_no_command_shows_a_password(command: str, guarded: LoopbackClickHouse) -> None:
    secret = "s3cr3t-and-wrong"
    result = run(command, "--dsn", guarded.dsn(password=secret), env={"AUDIT_SPOOL_DIR": "spool"})

    assert secret not in result.output


def test_check_of_a_missing_database_names_init(faults: LoopbackClickHouse, database: str) -> None:
    state, detail, remedy = steps("--dsn", faults.dsn(database))["database"]

    assert "failed" == state
    assert "visible: " in detail
    assert "audit-handler init" in remedy


def test_check_of_a_missing_table_names_init(dsn: str) -> None:
    state, _, remedy = steps("--dsn", dsn, "--table", "trail")["table"]

    assert "failed" == state
    assert "audit-handler init" in remedy


def test_check_of_a_missing_column_names_it_and_init_mends_it(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    faults.command(f"ALTER TABLE {database}.audit_logs DROP COLUMN user_agent")
    before = steps("--dsn", dsn)
    run("init", "--dsn", dsn)
    after = steps("--dsn", dsn)

    assert ("failed", f"{database}.audit_logs lacks the columns user_agent") == before["table"][:2]
    assert ("skipped", "ok") == (before["test row"][0], after["table"][0])


def test_check_of_a_missing_index_is_a_warning(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    faults.command(f"ALTER TABLE {database}.audit_logs DROP INDEX ix_trace_id")
    found = steps("--dsn", dsn)

    assert ("warning", "ok") == (found["table"][0], found["test row"][0])
    assert "ix_trace_id" in found["table"][1]


def test_check_tells_an_alter_that_does_not_get_done(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    table = f"{database}.audit_logs"
    faults.command(f"INSERT INTO {table} (event_time, message) VALUES (now(), 'no number')")
    with pytest.raises(LoopbackError):
        faults.command(
            f"ALTER TABLE {table} UPDATE status_code = toUInt16(message) WHERE 1 "
            "SETTINGS mutations_sync = 1"
        )
    state, detail, remedy = steps("--dsn", dsn, "--no-row")["table"]
    faults.command(f"KILL MUTATION WHERE database = '{database}'")

    assert ("warning", True) == (state, "cannot finish" in detail)
    assert f"KILL MUTATION WHERE database = '{database}' AND table = 'audit_logs'" in remedy


def test_check_of_a_table_of_2025_warns_and_stores_its_row(
    faults: LoopbackClickHouse, database: str
) -> None:
    create_older_table(faults, database)
    found = steps("--dsn", faults.dsn(database))

    assert ("warning", "ok") == (found["table"][0], found["test row"][0])
    assert "audit-handler init" in found["table"][2]
    assert "nothing keeps a repeated insert from doubling rows" in found["deduplication"][1]


def test_check_of_a_table_that_forgets_tokens_names_the_setting(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    faults.command(
        f"ALTER TABLE {database}.audit_logs MODIFY SETTING non_replicated_deduplication_window = 0"
    )
    state, _, remedy = steps("--dsn", dsn)["deduplication"]

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
        state, detail, remedy = steps("--dsn", dsn)["test row"]
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
        state, _, remedy = steps("--dsn", dsn)["test row"]
    finally:
        faults.deny()

    assert "warning" == state
    assert "grant SELECT(writer_id, seq, event_date)" in remedy


def test_a_reader_who_may_not_read_is_told_the_grant(dsn: str, faults: LoopbackClickHouse) -> None:
    faults.deny("^SELECT .*event_time")
    try:
        result = run("search", "--dsn", dsn)
    finally:
        faults.deny()

    assert 3 == result.exit_code
    assert "grant SELECT on the table" in result.stderr


@pytest.mark.parametrize("below", ["", "spool"])
def test_check_of_a_spool_that_cannot_be_made_names_the_directory(
    below: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    spool = tmp_path / "file" / below
    state, detail, remedy = steps("--dsn", AWAY, "--spool-dir", spool)["spool"]

    assert "failed" == state
    assert str(tmp_path / "file") in detail
    assert "local directory" in remedy


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no file system that takes nothing")
def test_check_of_a_spool_tries_what_the_handler_will_do() -> None:
    """The rights of the directory above say that it can be made, and it cannot."""
    state, detail, _ = steps("--dsn", AWAY, "--spool-dir", "/proc/spool")["spool"]

    assert ("failed", True) == (state, "/proc/spool" in detail)


def test_check_of_a_spool_that_is_not_there_yet_makes_nothing(tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    state, detail, _ = steps("--dsn", AWAY, "--spool-dir", tmp_path / "a" / "b")["spool"]

    assert ("ok", True) == (state, "the handler makes it" in detail)
    assert before == sorted(tmp_path.rglob("*"))


def test_check_of_a_spool_in_memory_is_a_warning() -> None:
    assert "warning" == steps("--dsn", AWAY, "--spool-dir", "memory")["spool"][0]


def test_check_tells_of_rows_that_nobody_delivers() -> None:
    """Those of a process that has ended; its target was another one."""
    die_with_three_rows("http://127.0.0.1:2/other_db")
    found = json.loads(run("check", "--dsn", AWAY, "--json").stdout)["steps"][-1]

    assert "3 rows of processes that have ended wait for other targets" == found["detail"]
    assert "start the application" in found["remedy"]


def test_check_prints_a_remedy_under_its_step() -> None:
    lines = run("check", "--dsn", AWAY).output.splitlines()

    assert lines[0].startswith("failed  connection")
    assert lines[1].startswith("        -> remedy     check host and port")


# load


def test_load_counts_what_did_not_arrive(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    """A constraint of the operator's refuses one of the twenty users."""
    faults.command(
        f"ALTER TABLE {database}.audit_logs "
        "ADD CONSTRAINT no_seven CHECK agent_id != 'test-user-07'"
    )
    result = run("load", 40, "--dsn", dsn, "--json")
    found = json.loads(result.stdout)

    assert 1 == result.exit_code
    assert (40, 38, 0, False) == tuple(
        found[name] for name in ("sent", "arrived", "doubled", "is_whole")
    )


def test_load_says_where_to_look_for_what_did_not_arrive(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    faults.command(f"ALTER TABLE {database}.audit_logs ADD CONSTRAINT none CHECK agent_id = ''")
    result = run("load", 5, "--dsn", dsn, "--timeout", 1)

    assert (1, True) == (result.exit_code, "NOT WHOLE: 5 sent, 0 arrived" in result.stderr)
    assert "audit-handler spool" in result.stderr


def test_load_without_a_table_names_init_at_once(faults: LoopbackClickHouse, database: str) -> None:
    result = run("load", "--dsn", faults.dsn(database))

    assert 3 == result.exit_code
    assert "audit-handler init" in result.stderr
    assert [] == faults.requests(match=f"^INSERT INTO `{database}`")


def test_load_reads_no_more_than_the_application_itself_may(
    dsn: str, faults: LoopbackClickHouse
) -> None:
    """The user `audit_writer` may read writer_id, seq and event_date."""
    faults.deny("^SELECT .*(session_id|request_id|agent_id)")
    try:
        result = run("load", 40, "--dsn", dsn)
    finally:
        faults.deny()

    assert (0, True) == (result.exit_code, "all arrived, once" in result.stdout)


def test_load_that_is_interrupted_says_how_many_rows_wait(
    dsn: str, faults: LoopbackClickHouse
) -> None:
    faults.fault("hang", times=-1)
    loading = subprocess.Popen(
        command("load", 5, "--dsn", dsn),
        env=environment_with({}),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        faults.wait_for_request(phase="received")
        loading.send_signal(signal.SIGINT)
        _, told = loading.communicate(timeout=60)
    finally:
        loading.kill()
        faults.clear_faults()

    assert 1 == loading.returncode
    assert "interrupted: 5 rows logged, 0 stored; 5 wait in" in told
