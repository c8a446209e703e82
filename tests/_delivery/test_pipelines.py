"""The open pipeline of a handler and the closed ones: what is emitted, and what is left."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from audit_handler._delivery import listener
from audit_handler._delivery.pipeline import Pipeline
from audit_handler._delivery.pipelines import Pipelines
from tests.support.delivery import AUDIT, MakeHandler, stored_messages
from tests.support.loopback import LoopbackClickHouse
from tests.support.spools import make_spool, put_numbers, take_all


def with_rows(directory: Path, rows: int) -> Pipeline:
    """Return a pipeline without a listener whose spool holds *rows*."""
    spool = make_spool(directory)
    put_numbers(spool, 1, rows)
    return cast("Pipeline", SimpleNamespace(spool=spool, abandon=spool.abandon))


def test_a_closed_pipeline_counts_until_its_rows_are_delivered(tmp_path: Path) -> None:
    pipelines, first = Pipelines(), with_rows(tmp_path, 3)
    pipelines.add(first)
    closed = pipelines.close_open()
    before = (pipelines.left(), pipelines.spools(), pipelines.rows_emitted())
    take_all(first.spool)
    first.spool.close()
    after = (pipelines.left(), pipelines.spools(), pipelines.rows_emitted())

    assert (first, None) == (closed, pipelines.open)
    assert ([first], [first.spool], 3) == before
    assert ([], [], 3) == after


def test_a_closed_pipeline_without_rows_is_kept_while_its_spool_may_still_accept_one(
    tmp_path: Path,
) -> None:
    pipelines, first = Pipelines(), with_rows(tmp_path, 0)
    pipelines.add(first)
    pipelines.close_open()
    left = pipelines.left()
    put_numbers(first.spool, 1, 2)

    assert [] == left
    assert (2, [first]) == (pipelines.rows_emitted(), pipelines.left())
    first.spool.close()


def test_rows_that_the_open_pipeline_adopted_count_once(tmp_path: Path) -> None:
    pipelines, first = Pipelines(), with_rows(tmp_path, 3)
    pipelines.add(first)
    pipelines.close_open()
    first.spool.close()
    second = with_rows(tmp_path, 2)
    pipelines.add(second)
    before = sum(spool.waiting_rows for spool in pipelines.spools())
    second.spool.adopt()
    after = sum(spool.waiting_rows for spool in pipelines.spools())

    assert (5, 5, 5) == (before, after, pipelines.rows_emitted())
    second.spool.close()


def waiting_rows(pipelines: Pipelines) -> int:
    return sum(spool.waiting_rows for spool in pipelines.spools())


def test_rows_that_a_pipeline_adopted_and_left_count_once(tmp_path: Path) -> None:
    """They counted twice: where they were accepted, and where they were adopted in between."""
    pipelines, first = Pipelines(), with_rows(tmp_path, 3)
    pipelines.add(first)
    pipelines.close_open()
    first.spool.close()
    second = with_rows(tmp_path, 0)
    pipelines.add(second)
    second.spool.adopt()
    counts = [waiting_rows(pipelines)]
    pipelines.close_open()
    counts.append(waiting_rows(pipelines))
    second.spool.close()
    counts.append(waiting_rows(pipelines))
    third = with_rows(tmp_path, 2)
    pipelines.add(third)
    counts.append(waiting_rows(pipelines))
    third.spool.adopt()
    counts.append(waiting_rows(pipelines))

    assert [3, 3, 3, 5, 5] == counts
    assert [1, 2, 3, 1, 2] == take_all(third.spool)
    assert 0 == waiting_rows(pipelines)
    third.spool.close()


def test_rows_that_a_closed_pipeline_adopted_and_delivered_do_not_wait(tmp_path: Path) -> None:
    """Only the open pipeline was asked which rows it had adopted."""
    pipelines, first = Pipelines(), with_rows(tmp_path, 3)
    pipelines.add(first)
    pipelines.close_open()
    first.spool.close()
    second = with_rows(tmp_path, 0)
    pipelines.add(second)
    second.spool.adopt()
    pipelines.close_open()
    take_all(second.spool)
    second.spool.close()

    assert 0 == waiting_rows(pipelines)
    assert ([], 3) == (pipelines.left(), pipelines.rows_emitted())


def test_a_pipeline_is_not_forgotten_with_a_row_that_came_as_it_was_closed(tmp_path: Path) -> None:
    """It was asked whether it had rows, got one and was closed, and was asked whether it was."""
    pipelines, first = Pipelines(), with_rows(tmp_path, 0)
    pipelines.add(first)
    pipelines.close_open()
    real = first.spool.has_rows

    def has_rows() -> bool:
        answer = real()
        if not first.spool.is_closed:
            put_numbers(first.spool, 1, 1)
            first.spool.close()
        return answer

    first.spool.has_rows = has_rows  # type: ignore[method-assign]

    assert [] == pipelines.left()
    assert [first] == pipelines.left()


def test_a_pipeline_that_a_signal_handler_closes_during_the_question_is_not_forgotten(
    tmp_path: Path,
) -> None:
    """The interrupted call wrote the closed pipelines that it had read over the new ones."""
    pipelines, first, second = Pipelines(), with_rows(tmp_path, 1), with_rows(tmp_path, 2)
    pipelines.add(first)
    pipelines.close_open()
    pipelines.add(second)
    real = first.spool.has_rows

    def has_rows() -> bool:
        pipelines.close_open()
        return real()

    first.spool.has_rows = has_rows  # type: ignore[method-assign]

    assert [first, second] == pipelines.left()
    assert 3 == pipelines.rows_emitted()
    first.spool.close()
    second.spool.close()


def test_a_pipeline_that_a_signal_handler_opens_during_a_close_stays_open(tmp_path: Path) -> None:
    """The interrupted call closed the one that it had not read."""
    first, second = with_rows(tmp_path, 1), with_rows(tmp_path, 2)

    class Interrupted(Pipelines):
        @property
        def _closed(self) -> Any:
            if self.open is first and interruptions:
                interruptions.pop()()
            return self.closed

        @_closed.setter
        def _closed(self, closed: Any) -> None:
            self.closed = closed

    interruptions: list[Callable[[], object]] = []
    pipelines = Interrupted()
    pipelines.add(first)
    interruptions.append(lambda: (pipelines.close_open(), pipelines.add(second)))
    pipelines.close_open()

    assert second is pipelines.open
    assert [first] == pipelines.left()
    first.spool.close()
    second.spool.close()


def test_an_interrupted_forget_does_not_count_rows_twice(tmp_path: Path) -> None:
    """The closed pipeline was open still, and was forgotten all the same, and then once more."""
    pipelines, first = Pipelines(), with_rows(tmp_path, 3)
    pipelines.add(first)
    take_all(first.spool)
    first.spool.close()
    pipelines.forget(first)
    pipelines.open = first
    counts = []
    calls: list[Callable[[], object]] = [
        pipelines.left,
        lambda: pipelines.forget(first),
        pipelines.left,
    ]
    for call in calls:
        call()
        counts.append(pipelines.rows_emitted())

    assert [3, 3, 3] == counts


def test_rows_count_once_when_their_pipeline_is_closed_during_the_count(tmp_path: Path) -> None:
    """It was found open, and its rows among those of the forgotten pipelines."""
    races: list[Callable[[], object]] = []

    class Raced(Pipelines):
        @property
        def _closed(self) -> Any:
            happening, races[:] = list(races), []
            for race in happening:
                race()
            return self.closed

        @_closed.setter
        def _closed(self, closed: Any) -> None:
            self.closed = closed

    pipelines, first = Raced(), with_rows(tmp_path, 3)
    pipelines.add(first)
    take_all(first.spool)
    first.spool.close()
    races += [pipelines.close_open, pipelines.left]

    assert 3 == pipelines.rows_emitted()
    assert pipelines.open is None


def test_only_the_open_pipeline_can_be_forgotten_and_only_one_is_open(tmp_path: Path) -> None:
    pipelines, first, second = Pipelines(), with_rows(tmp_path, 1), with_rows(tmp_path, 2)
    opened = [pipelines.add(first), pipelines.add(second)]
    pipelines.forget(second)
    still_open = pipelines.open
    pipelines.forget(first)
    pipelines.forget(first)

    assert [first, first] == opened
    assert first is still_open
    assert (None, 1) == (pipelines.open, pipelines.rows_emitted())
    assert pipelines.close_open() is None
    first.spool.close()
    second.spool.close()


def test_an_abandoned_pipeline_accepts_nothing_open_or_closed(tmp_path: Path) -> None:
    pipelines, first, second = Pipelines(), with_rows(tmp_path, 1), with_rows(tmp_path, 2)
    pipelines.add(first)
    pipelines.close_open()
    pipelines.add(second)
    pipelines.abandon()

    assert (True, True) == (first.spool.is_closed, second.spool.is_closed)


@pytest.mark.parametrize("spool", ["disk", "memory"])
def test_rows_that_a_close_left_are_not_said_to_be_delivered(
    spool: str,
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The handler forgot them with what it had closed. In memory they were sent by both."""
    monkeypatch.setattr(listener, "_ADOPT_SECONDS", 0.05)
    options = {"spool_dir": "memory"} if spool == "memory" else {}
    handler = make_handler(faults.dsn(database), logger=log.name, **options)
    faults.fault("http_status", status=503, times=-1)
    log.info("a", extra=AUDIT)
    pipelines = [handler._pipelines.open]
    answers = [handler.close(0.1), handler.flush(0.1)]
    pipelines.append(handler._pipelines.open)
    answers.append(handler.close(0.1))
    log.info("b", extra=AUDIT)
    pipelines.append(handler._pipelines.open)
    answers.append(handler.flush(0.1))
    first, second, third = (pipeline.listener for pipeline in pipelines if pipeline)
    first.join(60.0)
    second.join(60.0)
    faults.clear_faults()
    is_flushed = handler.flush(60.0)
    # The spool removes a delivered segment before it counts it: flush may be ahead of the counts.
    third.stop(60.0)

    assert [False, False, False, False] == answers
    assert is_flushed
    assert ["a", "b"] == stored_messages(faults, database)
    assert (2, 0, 0) == (
        handler.status().rows_emitted,
        handler.status().rows_waiting,
        handler.status().bytes_waiting,
    )


def test_an_audit_on_top_of_the_first_one_opens_nothing_twice(
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One of the two pipelines was forgotten, with the row in it."""
    handler = make_handler(faults.dsn(database), logger=log.name)

    def interrupted(*args: Any, **options: Any) -> Any:
        monkeypatch.undo()
        log.info("a", extra=AUDIT)
        return Pipeline(*args, **options)

    monkeypatch.setattr("audit_handler.handler.Pipeline", interrupted)
    log.info("b", extra=AUDIT)

    assert handler.flush()
    assert 2 == handler.status().rows_emitted
    assert ["a", "b"] == stored_messages(faults, database)
