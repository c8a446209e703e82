"""``verify-completeness``: its exit codes and its JSON."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from audit_handler import AuditHandler
from tests.support.commands import audit, run
from tests.support.loopback import LoopbackClickHouse

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


def test_a_whole_trail_is_exit_code_0(trail_dsn: str) -> None:
    result = run("verify-completeness", "--dsn", trail_dsn)

    assert (0, "complete: 6 rows of 1 writers") == (result.exit_code, result.stdout[:29])


def test_a_gap_and_a_repeat_are_exit_code_1_and_named(
    own_trail_dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    table = f"{database}.audit_logs"
    faults.command(f"ALTER TABLE {table} DELETE WHERE seq IN (2, 3) SETTINGS mutations_sync = 1")
    faults.command(
        f"INSERT INTO {table} SELECT * FROM {table} WHERE seq = 5 "
        "SETTINGS insert_deduplication_token = 'again'"
    )
    result = run("verify-completeness", "--dsn", own_trail_dsn, "--json")
    told = json.loads(result.stdout)

    assert (1, False, 2, 1) == (
        result.exit_code,
        *(told[name] for name in ("is_complete", "missing", "repeated")),
    )
    assert [[2, 3]] == told["incomplete"][0]["gaps"]


def test_too_few_rows_are_exit_code_1(trail_dsn: str) -> None:
    enough, too_few = (
        run("verify-completeness", "--dsn", trail_dsn, "--expect-rows", n) for n in (6, 7)
    )

    assert [0, 1] == [enough.exit_code, too_few.exit_code]
    assert "NOT COMPLETE: 6 rows" in too_few.stdout
    assert "--expect-rows 7 was not reached" in too_few.stdout


def test_rows_that_only_the_spool_has_are_reported_and_rejected_ones_are_exit_code_1(
    own_trail_dsn: str,
    faults: LoopbackClickHouse,
    database: str,
    make_handler: Callable[..., AuditHandler],
) -> None:
    """They are the last rows of their writers, so no number in the table shows them."""
    handler = make_handler(own_trail_dsn, flush_interval_ms=3_600_000)
    audit(handler)
    waiting = run("verify-completeness", "--dsn", own_trail_dsn)
    faults.command(f"ALTER TABLE {database}.audit_logs ADD CONSTRAINT none CHECK agent_id != ''")
    handler.flush(30.0)
    rejected = run("verify-completeness", "--dsn", own_trail_dsn)
    told = json.loads(run("verify-completeness", "--dsn", own_trail_dsn, "--json").stdout)

    assert [0, 1] == [waiting.exit_code, rejected.exit_code]
    assert "spool of this machine: 1 rows wait, 0 were rejected" in waiting.stdout
    assert "0 rows wait, 1 were rejected" in rejected.stdout
    assert (False, {"waiting": 0, "rejected": 1}) == (told["is_complete"], told["spool"])
