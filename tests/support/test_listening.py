"""The real server for tests: it listens, keeps its data over kills, and ends with its tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_handler import AuditHandler
from tests.support.commands import audit, environment_with
from tests.support.listening import SERVER, ListeningClickHouse, ListeningError
from tests.support.listening.config import User
from tests.support.listening.shards import TwoShards
from tests.support.paths import ROOT
from tests.support.tables import count

pytestmark = pytest.mark.once

StartListening = Callable[..., ListeningClickHouse]
MakeHandler = Callable[..., AuditHandler]


def test_it_is_a_server_with_the_protocols_of_clickhouse(listening: ListeningClickHouse) -> None:
    (native,) = listening.query(
        f"SELECT hostName() AS host FROM remote('127.0.0.1:{listening.tcp_port}', system.one, "
        "'audit_admin', 'made-up')"
    )

    assert native["host"]
    assert [{"n": 2**63}] == listening.query("SELECT toUInt64(pow(2, 63)) AS n")


def test_rows_of_a_handler_arrive(
    listening: ListeningClickHouse, make_handler: MakeHandler, database: str
) -> None:
    handler = make_handler(listening.dsn(database))
    for _ in range(10):
        audit(handler)

    assert handler.flush()
    assert 10 == count(listening, database)


def test_data_and_ports_stay_over_a_kill(start_listening: StartListening) -> None:
    server = start_listening()
    server.command("CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n")
    server.command("INSERT INTO t VALUES (7)")
    dsn = server.dsn()
    server.kill()
    was_running = server.is_running
    server.restart()

    assert not was_running
    assert (dsn, [{"n": 7}]) == (server.dsn(), server.query("SELECT n FROM t"))


def test_a_paused_server_answers_when_it_goes_on(start_listening: StartListening) -> None:
    server = start_listening()
    server.pause()
    is_silent = not server.answers_ping()
    server.resume()

    assert is_silent
    assert [{"n": 1}] == server.query("SELECT 1 AS n")


def test_users_have_their_grants_and_settings(start_listening: StartListening) -> None:
    user = User(
        name="reader", password="<&>", grants=["GRANT SELECT ON a.*"], settings={"readonly": 1}
    )
    server = start_listening(users=[user])

    assert ["GRANT SELECT ON a.* TO reader"] == server.command("SHOW GRANTS FOR reader").split("\n")


def test_a_refused_query_says_why(listening: ListeningClickHouse) -> None:
    with pytest.raises(ListeningError, match="Code: 60"):
        listening.query("SELECT * FROM missing")


def test_a_server_that_does_not_start_says_why(start_listening: StartListening) -> None:
    taken = start_listening()
    with pytest.raises(ListeningError, match="Address already in use"):
        start_listening(tcp_port=taken.tcp_port)


def test_a_server_that_crashes_at_its_start_is_started_again(
    start_listening: StartListening,
) -> None:
    server = start_listening()
    server.restart_without_waiting()
    crashed = server.pid
    os.kill(crashed, signal.SIGSEGV)
    server.wait_until_up()

    assert crashed != server.pid
    assert [{"n": 1}] == server.query("SELECT 1 AS n")


def test_the_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys\n"
        "from tests.support.listening import ListeningClickHouse\n"
        "print(ListeningClickHouse(pathlib.Path(sys.argv[1])).pid, flush=True)\n"
        "os._exit(0)\n"
    )
    # The server holds no pipe of the program's, so a pipe of its own says when it has ended.
    died = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT,
        env=environment_with({}),
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    wait = ["tail", "--pid", died.stdout.strip(), "-f", "/dev/null"]

    assert 0 == subprocess.run(wait, timeout=30, check=False).returncode


def test_a_chdb_without_listeners_is_named(tmp_path: Path) -> None:
    (tmp_path / "chdb.py").write_text("__version__ = '0.1'\n")
    refused = subprocess.run(
        [sys.executable, str(SERVER), str(tmp_path)],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert refused.returncode
    assert "chDB 0.1 does not start ClickHouse's listeners" in refused.stderr


def test_two_shards_share_the_rows_and_each_finds_all(
    two_shards: TwoShards, make_handler: MakeHandler, database: str
) -> None:
    handler = make_handler(two_shards.dsn(database), cluster="{cluster}", create_table=False)
    for number in range(200):
        audit(handler, agent_id=f"u-{number}")
    assert handler.flush()
    first, second = two_shards.local_counts(database)

    assert 200 == first + second
    assert 0 < first < 200
    assert [200, 200] == [count(server, database) for server in two_shards.servers]
