"""What the log says of failed deliveries."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from audit_handler._delivery.trouble import Trouble
from audit_handler.errors import SetupError, UnconfirmedError
from audit_handler.status import Counters
from tests.support.delivery import NO_TABLE, REFUSED, Bench
from tests.support.spools import put_numbers


def test_one_line_is_logged_for_each_change_of_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path, REFUSED, REFUSED, REFUSED, NO_TABLE, NO_TABLE, None)
    put_numbers(bench.spool, 1, 3)
    with caplog.at_level(logging.INFO):
        bench.deliver()
    levels = [(r.levelname, r.getMessage()) for r in caplog.records if r.name.startswith("audit_h")]

    assert ["WARNING", "ERROR", "INFO"] == [level for level, _ in levels]
    assert "connection refused" in levels[0][1]
    assert "audit-handler init" in levels[1][1]
    assert "accepts rows again" in levels[2][1]


def test_rows_found_stored_without_an_acknowledgement_are_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counters = Counters()
    trouble = Trouble(counters, Bench(tmp_path).spool)
    page = UnconfirmedError("a page answered", remedy="see what answers there")
    for _ in range(3):
        trouble.note_unconfirmed(page)
    while_unconfirmed = counters.last_error
    trouble.clear()
    trouble.note_unconfirmed(page)

    assert "UnconfirmedError: a page answered; see what answers there" == while_unconfirmed
    assert 2 == caplog.text.count("acknowledgement does not arrive")


def test_rows_without_a_column_of_the_user_are_counted_and_the_column_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counters = Counters()
    trouble = Trouble(counters, Bench(tmp_path).spool)
    trouble.note_columns(("due",), 3)
    before = counters.skipped_columns
    trouble.note_columns(("due", "small"), 2)

    assert {"due": 3} == before
    assert {"due": 5, "small": 2} == counters.skipped_columns
    assert ["columns due, which" in text for text in caplog.messages] == [True, False]
    assert "columns small, which" in caplog.messages[1]


def test_an_unconfirmed_insert_that_stored_nothing_is_another_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trouble = Trouble(Counters(), Bench(tmp_path).spool)
    page = UnconfirmedError("a page answered")
    trouble.note_unconfirmed(page)
    trouble.note(page)

    assert ["does not arrive" in text for text in caplog.messages] == [True, False]
    assert "They stay in the spool" in caplog.messages[1]


def test_a_second_cause_with_the_same_code_is_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """The first was fixed, and nothing said why rows still waited."""
    trouble = Trouble(bench.counters, bench.spool)
    for problem in (
        "code 60: Table db.audit_logs does not exist (query 4f2a-11)",
        "code 60: Table db.audit_logs does not exist (query 97b0-12)",
        "code 60: Table db.copies does not exist (query 97b0-13)",
    ):
        trouble.note(SetupError(problem, code=60))

    assert ["audit_logs", "copies"] == re.findall(r"Table db\.(\w+)", caplog.text)
