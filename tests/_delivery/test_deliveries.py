"""Later segments decide whether the rows of one or the table is at fault."""

from __future__ import annotations

from tests.support.delivery import Bench, refuse_rows
from tests.support.spools import put_numbers


def deliver(bench: Bench) -> None:
    """Run the listener until the spool is empty, or it has tried often enough."""
    listener = bench.listener()

    def stop_in_the_end() -> None:
        if len(bench.clock.waits) > 20:
            listener.stop(0.0)

    bench.clock.on_wait = stop_in_the_end
    listener.drain()
    listener.serve()


def test_many_segments_of_bad_rows_do_not_stop_the_delivery(bench: Bench) -> None:
    """Else all rows behind them wait for ever."""
    bench.destination.refuse = refuse_rows(*range(1, 56))
    put_numbers(bench.spool, 1, 70)
    deliver(bench)

    assert list(range(1, 56)) == bench.rejected
    assert list(range(56, 71)) == bench.stored


def test_good_rows_that_come_behind_many_bad_ones_decide_about_them(bench: Bench) -> None:
    bench.destination.refuse = refuse_rows(*range(1, 56))
    put_numbers(bench.spool, 1, 50)
    listener = bench.listener()

    def log_good_rows() -> None:
        if len(bench.clock.waits) == 5:
            put_numbers(bench.spool, 51, 60)
            listener.drain()

    bench.clock.on_wait = log_good_rows
    segment = bench.spool.get(0.0)
    while segment is not None:
        assert listener.handle(segment)
        bench.spool.task_done()
        segment = bench.spool.get(0.0)

    assert list(range(1, 56)) == bench.rejected
    assert list(range(56, 61)) == bench.stored


def test_without_any_good_row_the_table_is_at_fault(bench: Bench) -> None:
    bench.destination.refuse = refuse_rows(*range(1, 71))
    put_numbers(bench.spool, 1, 70)
    deliver(bench)

    # The first of them may be as bad as they look.
    assert list(range(1, 11)) == bench.rejected
    assert "accepts none of" in bench.counters.last_error


def test_the_newest_segment_keeps_its_outcome_and_its_place(bench: Bench) -> None:
    bench.destination.can_look_up = False
    bench.destination.refuse = refuse_rows(*range(1, 56))
    put_numbers(bench.spool, 1, 70)
    deliver(bench)

    assert list(range(56, 71)) == bench.stored
    inserts_of_the_newest = [each for each in bench.destination.tokens if ":61-70" in each]
    assert 1 == len(inserts_of_the_newest)
