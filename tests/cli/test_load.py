"""``load``: rows that arrive, and rows that do not."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from tests.support.commands import command, environment_with, run
from tests.support.loopback import LoopbackClickHouse

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


def inserts_into(database: str) -> str:
    """Return a pattern for its inserts only: a handler of an earlier test may still send."""
    return f"^INSERT INTO `{database}`"


def test_load_counts_rows_that_did_not_arrive(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    """A constraint of the operator rejects one of the twenty users."""
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


def test_load_names_the_spool_of_rows_that_did_not_arrive(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    faults.command(f"ALTER TABLE {database}.audit_logs ADD CONSTRAINT none CHECK agent_id = ''")
    result = run("load", 5, "--dsn", dsn, "--timeout", 1)

    assert (1, True) == (result.exit_code, "NOT COMPLETE: 5 logged, 0 stored" in result.stderr)
    assert "audit-handler spool" in result.stderr


def test_load_without_a_table_names_init_at_once(faults: LoopbackClickHouse, database: str) -> None:
    result = run("load", "--dsn", faults.dsn(database))

    assert 3 == result.exit_code
    assert "audit-handler init" in result.stderr
    assert [] == faults.requests(match=inserts_into(database))


def test_load_needs_no_more_grants_than_the_application(
    dsn: str, faults: LoopbackClickHouse
) -> None:
    """The user `audit_writer` may read writer_id, seq and event_date."""
    faults.deny("^SELECT .*(session_id|request_id|agent_id)")
    try:
        result = run("load", 40, "--dsn", dsn)
    finally:
        faults.deny()

    assert (0, True) == (result.exit_code, "every row is stored once" in result.stdout)


def test_load_that_is_interrupted_says_how_many_rows_wait(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    faults.fault("hang", match=inserts_into(database), times=-1)
    loading = subprocess.Popen(
        command("load", 5, "--dsn", dsn),
        env=environment_with({}),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        faults.wait_for_request(match=inserts_into(database), phase="received")
        loading.send_signal(signal.SIGINT)
        _, told = loading.communicate(timeout=60)
    finally:
        loading.kill()
        faults.clear_faults()

    assert 1 == loading.returncode
    assert "interrupted: 5 rows logged, 0 stored; 5 wait in" in told
