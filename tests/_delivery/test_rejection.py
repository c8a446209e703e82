"""What ClickHouse rejects of a segment is set aside, and all else of it is stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit_handler.errors import (
    DataError,
    RejectedFull,
    SpoolError,
    TransientError,
)
from tests.support.delivery import Bench, refuse_rows
from tests.support.spools import MONTH, leave_behind, make_spool, put_numbers


@pytest.mark.parametrize("names_row", [True, False])
@pytest.mark.parametrize("bad", [(1,), (10,), (5,), (1, 10), (4, 5, 6), (2, 4, 6, 8), range(1, 11)])
def test_bad_rows_are_set_aside_and_their_neighbours_stored(
    bench: Bench, bad: tuple[int, ...], names_row: bool
) -> None:
    bench.destination.refuse = refuse_rows(*bad, names_row=names_row)
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert list(bad) == bench.rejected
    assert sorted(set(range(1, 11)) - set(bad)) == bench.stored
    assert len(bad) == bench.counters.rows_rejected


def test_a_bad_row_is_found_among_ten_thousand_with_few_inserts(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.spool = make_spool(
        bench.directory, batch_size=10_000, batch_bytes=8 << 20, clock=bench.clock
    )
    bench.destination.refuse = refuse_rows(6_000, names_row=False)
    put_numbers(bench.spool, 1, 10_000)
    bench.deliver()

    assert [6_000] == bench.rejected
    assert 9_999 == len(bench.stored)
    assert len(bench.destination.tokens) < 40


def test_every_part_of_a_split_segment_has_a_token_of_its_own(bench: Bench) -> None:
    """
    A token drops whatever else comes under it: a part under the segment's token would be lost rows.
    """
    bench.destination.refuse = refuse_rows(5)
    put_numbers(bench.spool, 1, 10)
    bench.deliver()
    ranges = [token.split(":")[1].split("/")[0] for token in bench.destination.tokens]

    # All, all without row 5, and row 5 once more at the end.
    assert ["1-10", "1-10", "5-5"] == ranges
    assert 3 == len(set(bench.destination.tokens))


def test_a_rejected_row_is_kept_with_the_reason(bench: Bench) -> None:
    bench.destination.refuse = refuse_rows(2)
    put_numbers(bench.spool, 1, 3)
    bench.deliver()
    (reasons,) = (bench.directory / "rejected").glob("*.error.json")
    (entry,) = json.loads(reasons.read_text())["rows"]

    assert (2, 27, "code 27") == (entry["seq"], entry["code"], entry["reason"])


def test_a_row_refused_for_a_column_of_the_user_is_stored_without_it(bench: Bench) -> None:
    """The value for that column is in metadata too."""

    def refuse(lines: bytes) -> DataError | None:
        refusal = refuse_rows(2)(lines)
        if refusal is None or bench.destination.without[-1]:
            return None
        refusal.added = ("due",)
        return refusal

    bench.destination.refuse = refuse
    put_numbers(bench.spool, 1, 3)
    bench.deliver()

    assert [1, 2, 3] == bench.stored
    assert [] == bench.rejected


def test_a_table_that_is_fixed_while_its_rows_are_tried_one_by_one_gets_them_all(
    bench: Bench,
) -> None:
    """Those that were refused before the fix are offered once more before they are set aside."""

    def refuse(lines: bytes) -> DataError | None:
        is_fixed = len(bench.destination.tokens) > 10
        return None if is_fixed else refuse_rows(*range(1, 11))(lines)

    bench.destination.refuse = refuse
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert list(range(1, 11)) == bench.stored
    assert ([], 0) == (bench.rejected, bench.counters.rows_rejected)


def test_when_the_table_takes_nothing_the_rows_are_kept(tmp_path: Path) -> None:
    """
    A column that changed its type is not the rows' fault: nothing is set aside, all is stored after
    the fix.
    """
    bench = Bench(tmp_path)
    bench.spool = make_spool(bench.directory, batch_size=100, clock=bench.clock)
    refuse = refuse_rows(*range(1, 101))
    complaints = []

    def refuse_until_fixed(lines: bytes) -> DataError | None:
        complaints.append(bench.counters.last_error)
        return None if "accepts none of" in bench.counters.last_error else refuse(lines)

    bench.destination.refuse = refuse_until_fixed
    put_numbers(bench.spool, 1, 100)
    bench.deliver()

    assert [] == bench.rejected
    assert list(range(1, 101)) == bench.stored
    assert len(complaints) < 120


def test_a_crash_in_the_middle_of_a_split_doubles_nothing(bench: Bench) -> None:
    bench.destination.refuse = refuse_rows(5)
    bench.destination.script = [None, TransientError("gone")]
    put_numbers(bench.spool, 1, 10)
    listener = bench.listener()
    segment = listener.dequeue(True)
    assert segment is not None

    bench.clock.on_wait = listener.stop
    is_delivered = listener.handle(segment)
    leave_behind(bench.spool)
    bench.spool = bench.new_spool()
    bench.deliver()

    assert not is_delivered
    assert [1, 2, 3, 4, 6, 7, 8, 9, 10] == bench.stored
    assert [5] == bench.rejected


def test_a_rejected_row_without_space_is_dropped_and_counted(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    refused: list[SpoolError] = []
    bench.spool = bench.new_spool(max_rejected_bytes=0, on_refused=refused.append)
    bench.destination.refuse = refuse_rows(5, names_row=True)
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert [1] == [exc.rows for exc in refused if isinstance(exc, RejectedFull)]
    assert (9, 0, 0) == (
        bench.counters.rows_stored,
        bench.counters.rows_rejected,
        bench.spool.waiting_rows,
    )
    assert "rejects 1 of 10 rows: code 27. They" in caplog.text
    assert "dropped" in caplog.text
    # The server's message, which the reasons hold, quotes values of the row.
    assert "Reason(" not in caplog.text


def test_the_log_quotes_no_row_that_is_dropped_without_space(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """ClickHouse's own text quotes it."""
    bench = Bench(tmp_path)
    bench.spool = bench.new_spool(max_rejected_bytes=10)
    refusal = DataError("code 469", code=469, row=1)
    refusal.__cause__ = ValueError("Column values: agent_email = 'kim@example.org'")
    bench.destination.refuse = lambda lines: refusal if b'"n":1}' in lines else None
    put_numbers(bench.spool, 1, 3)
    bench.deliver()

    assert "They are dropped" in caplog.text
    assert "code 469" in caplog.text
    assert "kim@" not in caplog.text


def test_another_file_that_is_missing_costs_no_segment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``rejected/`` was removed at the wrong moment, and the bad row's segment after it."""
    bench.destination.refuse = refuse_rows(5, names_row=True)
    real = bench.spool.rejected.write

    def removed(*_batch: object) -> Path:
        monkeypatch.undo()
        raise FileNotFoundError(2, "No such file or directory", "rejected/w-1-10.error.json")

    monkeypatch.setattr(bench.spool.rejected, "write", removed)
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert bench.spool.rejected.write == real
    assert 0 == bench.counters.rows_lost
    assert [5] == bench.rejected
    assert 9 == len(bench.stored)


def test_rows_of_too_many_partitions_are_cut_by_their_time(bench: Bench) -> None:
    """By their number, each part would have rows of all days, until it is as small as they are."""

    def refuse(lines: bytes) -> DataError | None:
        days = {json.loads(line)["event_time"][:10] for line in lines.splitlines()}
        return None if len(days) <= 2 else DataError("code 252", has_too_many_partitions=True)

    bench.spool = make_spool(bench.directory, batch_size=64, clock=bench.clock)
    bench.destination.refuse = refuse
    for number in range(1, 65):
        day = number % 4 + 1
        row = b'{"event_time":"2026-11-0%d 00:00:00.000000","n":%d}' % (day, number)
        bench.spool.put(row, MONTH)
    bench.deliver()

    assert list(range(1, 65)) == bench.stored
    assert ([], 3) == (bench.rejected, len(bench.destination.tokens))
