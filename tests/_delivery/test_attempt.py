"""One segment's delivery: each row ends stored or set aside, whatever ClickHouse answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audit_handler.errors import (
    DataError,
    DeliveryError,
    SetupError,
    TransientError,
    UnconfirmedError,
    ViewError,
)
from audit_handler.spool import Segment
from tests.support.delivery import REFUSED, TIMEOUT, Bench, refuse_rows
from tests.support.spools import leave_behind, put_numbers


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


def test_a_replica_that_is_behind_does_not_double_the_rows_it_lacks(bench: Bench) -> None:
    """The token is known to all replicas; this one shows one of two partitions."""
    segment = _store_half(bench)
    token = f"{segment.writer_id}:1-10"
    bench.destination.script = [TIMEOUT]
    bench.destination.dropped_tokens = {token}
    look_up = bench.destination.stored
    lines = segment.path.read_bytes().splitlines()

    def stored_when_it_caught_up(*asked: Any) -> set[int] | None:
        if len(bench.destination.look_ups) == 4:
            bench.destination.rows = dict.fromkeys(lines)
        return look_up(*asked)

    bench.destination.stored = stored_when_it_caught_up  # type: ignore[assignment, method-assign]
    bench.listener().handle(segment)

    assert [token, token] == bench.destination.tokens
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


FORGED = DataError("code 27", code=27, row=2, is_ambiguous=True, may_be_forged=True)
TOO_LARGE = DataError("HTTP status 413", is_ambiguous=True, is_too_large=True)
FORGED_VIEW = ViewError("code 395", code=395, view="d.v", may_be_forged=True)


@pytest.mark.parametrize("was_stored", [True, False])
@pytest.mark.parametrize("said", [FORGED, TOO_LARGE, FORGED_VIEW], ids=["forged", "413", "view"])
def test_without_a_look_up_only_clickhouses_own_word_splits_rows(
    bench: Bench, said: DeliveryError, was_stored: bool
) -> None:
    """Under the same token, ClickHouse drops the rows if it has stored them."""
    put_numbers(bench.spool, 1, 10)
    bench.destination.can_look_up = False
    bench.destination.remembers_tokens = True
    bench.destination.script = [(said, True) if was_stored else said]
    bench.deliver()

    assert (2, 1) == (len(bench.destination.tokens), len(set(bench.destination.tokens)))
    assert list(range(1, 11)) == bench.stored
    assert [] == bench.rejected


@pytest.mark.parametrize("said", [FORGED, TOO_LARGE], ids=["forged", "413"])
def test_an_answer_of_something_else_rejects_no_row(bench: Bench, said: DeliveryError) -> None:
    bench.destination.script = [said] * 3
    put_numbers(bench.spool, 1, 1)
    bench.deliver()

    assert [1] == bench.stored
    assert [] == bench.rejected


def test_rows_that_a_look_up_found_count_once_before_an_error_of_something_else(
    bench: Bench,
) -> None:
    segment = _store_half(bench)
    bench.destination.script = [FORGED, FORGED]
    bench.listener().handle(segment)

    assert list(range(1, 11)) == bench.stored
    assert 10 == bench.counters.rows_stored


def test_errors_that_always_come_without_proof_are_believed(bench: Bench) -> None:
    """As from servers before 23.4, which send no query id with an error."""

    def refuse(lines: bytes) -> DataError | None:
        if b'"n":4}' not in lines:
            return None
        return DataError("code 27", code=27, is_ambiguous=True, may_be_forged=True)

    bench.destination.refuse = refuse
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert [4] == bench.rejected
    assert 9 == len(bench.stored)


def test_an_answer_that_may_be_forged_names_the_grant(bench: Bench) -> None:
    put_numbers(bench.spool, 1, 10)
    bench.destination.can_look_up = False
    bench.destination.script = [FORGED]
    delivery = bench.delivery()

    with pytest.raises(SetupError, match=r"grant SELECT\(writer_id, seq, event_date\)"):
        delivery.run()


def test_rows_that_are_too_large_for_a_proxy_are_split_without_a_look_up(bench: Bench) -> None:
    """It refuses a request of the same size that stores nothing, so it refused the rows too."""
    bench.destination.can_look_up = False
    bench.destination.limit = 3
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert list(range(1, 11)) == bench.stored
    assert 0 == bench.counters.retries


def test_rows_that_may_be_stored_are_not_split_for_their_size(bench: Bench) -> None:
    """They may have passed the proxy before it got its limit."""
    put_numbers(bench.spool, 1, 10)
    bench.destination.can_look_up = False
    bench.destination.script = [(TIMEOUT, True)]
    delivery = bench.delivery()
    with pytest.raises(TransientError):
        delivery.run()
    bench.destination.limit = 3
    for _ in range(2):
        with pytest.raises(SetupError, match="413"):
            delivery.run()
    bench.destination.can_look_up = True
    delivery.run()

    assert 1 == len(set(bench.destination.tokens))
    assert list(range(1, 11)) == bench.stored


def test_the_rest_of_an_insert_keeps_its_token_when_the_look_up_is_refused(bench: Bench) -> None:
    """The grant may be taken back between two look-ups."""
    segment = _store_half(bench)
    bench.destination.script = [TIMEOUT, (TIMEOUT, True)]
    bench.destination.remembers_tokens = True
    look_up = bench.destination.stored

    def stored_once(*wanted: Any) -> set[int] | None:
        bench.destination.can_look_up = not bench.destination.look_ups
        return look_up(*wanted)

    bench.destination.stored = stored_once  # type: ignore[assignment, method-assign]
    bench.listener().handle(segment)

    assert {f"{segment.writer_id}:1-10"} == set(bench.destination.tokens)
    assert list(range(1, 11)) == bench.stored


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


def test_rows_that_a_row_policy_hides_are_not_sent_again(tmp_path: Path) -> None:
    """The token has dropped them, so they are stored: under another one they would be doubled."""
    bench = Bench(tmp_path, (TIMEOUT, True))
    bench.destination.remembers_tokens = True
    bench.destination.hidden = {4, 5}
    put_numbers(bench.spool, 1, 10)
    bench.deliver()

    assert list(range(1, 11)) == bench.stored
    assert 1 == len(set(bench.destination.tokens))
    assert 10 == bench.counters.rows_stored


def of_many_writers(*, is_ambiguous: bool = False) -> DataError:
    """Return the answer to an async insert of which one row, perhaps another writer's, is bad."""
    error = DataError("code 469", code=469, row=1, is_ambiguous=is_ambiguous)
    error.may_be_of_others = True
    return error


@pytest.mark.parametrize("is_ambiguous", [True, False])
@pytest.mark.parametrize("rows", [1, 10])
def test_rows_of_an_async_insert_that_fails_are_tried_alone(
    bench: Bench, rows: int, is_ambiguous: bool
) -> None:
    """The bad row may be another writer's: the server gathers the rows of all."""
    put_numbers(bench.spool, 1, rows)
    bench.destination.script = [of_many_writers(is_ambiguous=is_ambiguous)]
    bench.deliver()

    assert ([], list(range(1, rows + 1))) == (bench.rejected, bench.stored)
    assert [False, True] == bench.destination.alone
    assert 1 == len(set(bench.destination.tokens))


def test_rows_that_an_async_insert_has_stored_are_not_sent_alone(bench: Bench) -> None:
    """The server need not compare the token with that of the first insert."""
    put_numbers(bench.spool, 1, 10)
    bench.destination.script = [(of_many_writers(is_ambiguous=True), True)]
    bench.deliver()

    assert list(range(1, 11)) == bench.stored
    assert [False] == bench.destination.alone
