"""One segment's delivery: each row ends stored or set aside, whatever ClickHouse answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit_handler.errors import (
    DataError,
    RejectedFull,
    SpoolError,
    TransientError,
    UnconfirmedError,
    ViewError,
)
from audit_handler.spool import Segment
from tests.support.delivery import REFUSED, TIMEOUT, Bench, refuse_rows
from tests.support.spools import leave_behind, make_spool, put_numbers


def test_a_segment_is_sent_whole_under_a_token_of_its_own(bench: Bench) -> None:
    put_numbers(bench.spool, 1, 12)
    writer_id = bench.spool.writer_id
    bench.deliver()

    assert [f"{writer_id}:1-10", f"{writer_id}:11-12"] == bench.destination.tokens
    assert list(range(1, 13)) == bench.stored
    assert (12, 2, 0) == (
        bench.counters.rows_stored,
        bench.counters.batches_stored,
        bench.counters.retries,
    )


def test_a_retry_goes_under_the_same_token(tmp_path: Path) -> None:
    bench = Bench(tmp_path, REFUSED, REFUSED)
    put_numbers(bench.spool, 1, 3)
    bench.deliver()

    assert 3 == len(bench.destination.tokens)
    assert 1 == len(set(bench.destination.tokens))


def test_an_insert_whose_answer_was_lost_is_looked_up_and_not_repeated(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (TIMEOUT, True))
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert 1 == len(bench.destination.tokens)
    assert [(1, 10)] == bench.destination.look_ups
    assert list(range(1, 11)) == bench.stored
    assert 10 == bench.counters.rows_stored


def test_an_answer_that_is_no_acknowledgement_is_looked_up_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (UnconfirmedError("a login page answered"), True))
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert [(1, 10)] == bench.destination.look_ups
    assert (1, 0) == (len(bench.destination.tokens), bench.counters.retries)
    assert list(range(1, 11)) == bench.stored


def test_rows_that_an_unconfirmed_insert_did_not_store_are_sent_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, UnconfirmedError("a login page answered"))
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert (2, 1) == (len(bench.destination.tokens), bench.counters.retries)
    assert list(range(1, 11)) == bench.stored


def test_an_insert_that_never_left_is_not_looked_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path, REFUSED)
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert [] == bench.destination.look_ups


def test_an_unsure_insert_that_is_not_stored_is_repeated(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TIMEOUT)
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert 2 == len(bench.destination.tokens)
    assert list(range(1, 11)) == bench.stored


def _store_half(bench: Bench) -> Segment:
    put_numbers(bench.spool, 1, 10)
    segment = bench.spool.get(0.0)
    assert segment is not None
    lines = segment.path.read_bytes().splitlines()
    bench.destination.rows = dict.fromkeys([lines[2], lines[3], lines[7]])
    return segment


def test_of_an_insert_that_is_half_stored_the_rest_goes_under_its_token(bench: Bench) -> None:
    """
    One of two partitions or shards is visible, and the other one may still be written: under
    another token its rows would be stored twice.
    """
    segment = _store_half(bench)
    bench.destination.script = [TIMEOUT]
    bench.listener().handle(segment)

    assert [f"{segment.writer_id}:1-10"] * 2 == bench.destination.tokens
    assert list(range(1, 11)) == bench.stored
    assert 10 == bench.counters.rows_stored


def test_a_rest_that_a_known_token_dropped_goes_under_a_token_of_its_own(bench: Bench) -> None:
    """The rows were deleted, or the shards were changed, since the token was used."""
    segment = _store_half(bench)
    bench.destination.script = [TIMEOUT]
    bench.destination.dropped_tokens = {f"{segment.writer_id}:1-10"}
    bench.listener().handle(segment)

    assert 3 == len(bench.destination.tokens)
    assert 2 == len(set(bench.destination.tokens))
    assert list(range(1, 11)) == bench.stored
    assert 10 == bench.counters.rows_stored


def test_a_segment_that_a_dead_process_had_attempted_is_looked_up_first(bench: Bench) -> None:
    put_numbers(bench.spool, 1, 20)
    segment = bench.spool.get(0.0)
    assert segment is not None
    attempted, _ = bench.spool.taken.attempting(segment)
    bench.destination.rows = dict.fromkeys(attempted.path.read_bytes().splitlines())
    leave_behind(bench.spool)
    bench.spool = bench.new_spool()
    bench.deliver()

    assert [(1, 10)] == bench.destination.look_ups
    assert ["11-20"] == [token.split(":")[1] for token in bench.destination.tokens]
    assert list(range(1, 21)) == bench.stored


def test_without_the_right_to_look_up_the_token_has_to_do(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TIMEOUT)
    bench.destination.can_look_up = False
    put_numbers(bench.spool, 1, 3)
    bench.deliver()

    assert 2 == len(bench.destination.tokens)
    assert 1 == len(set(bench.destination.tokens))


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


@pytest.mark.parametrize("reads_files", [True, False])
def test_only_an_engine_that_reads_files_gets_its_rows_in_a_file(
    bench: Bench, reads_files: bool
) -> None:
    """For a server, one file for each of many rejected rows took half of the time."""
    bench.destination.reads_files = reads_files
    bench.destination.refuse = refuse_rows(5)
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert [reads_files] * 3 == [path is not None for path in bench.destination.paths]
    assert [5] == bench.rejected


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


def test_rows_that_a_throwing_view_left_stored_are_not_split(tmp_path: Path) -> None:
    """
    The error comes after the rows themselves are stored; parts under their own tokens would double
    them.
    """
    threw = ViewError("code 395", code=395, view="d.v")
    bench = Bench(tmp_path, (threw, True))
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert list(range(1, 11)) == bench.stored
    assert 1 == len(bench.destination.tokens)


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
    assert "rejects 1 of 10 rows" in caplog.text
    assert "dropped" in caplog.text


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
