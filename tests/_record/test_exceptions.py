"""An exception becomes *error_message* and a stack, whatever it does when it is read."""

from __future__ import annotations

import queue
from logging.handlers import QueueHandler
from typing import Any

import pytest

from audit_handler._record.redaction import REDACTED
from tests.support.records import (
    decoded,
    encoder_with,
    error_info,
    record_of,
    row_of,
)


def test_an_exception_becomes_an_error_message_and_a_stack() -> None:
    row = row_of(exc_info=error_info())

    assert ("ValueError: no such user", "ValueError", "failure") == (
        row["error_message"],
        row["metadata"]["exception.type"],
        row["outcome"],
    )
    assert "in error_info" in row["metadata"]["exception.stacktrace"]


def test_an_explicit_error_message_wins_over_the_exceptions() -> None:
    assert "mine" == row_of(exc_info=error_info(), error_message="mine")["error_message"]


def test_an_exception_that_cannot_be_read_does_not_cost_the_row() -> None:
    class Rude(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        def __bool__(self) -> bool:
            raise RuntimeError

    row = row_of(exc_info=(Rude, Rude(), None))

    assert ("Rude: <unreadable Rude: RuntimeError>", "failure") == (
        row["error_message"],
        row["outcome"],
    )


@pytest.mark.parametrize("exc_info", [True, (None, None, None), (), "x", ValueError("x")], ids=repr)
def test_exc_info_of_any_form_does_not_cost_the_row(exc_info: Any) -> None:
    assert "done" == row_of(exc_info=exc_info)["message"]


def test_a_stack_that_was_asked_for_goes_to_metadata() -> None:
    assert {"code.stacktrace": "Stack:\n  here"} == row_of(stack_info="Stack:\n  here")["metadata"]


def test_a_record_from_a_queue_keeps_its_exception() -> None:
    """QueueHandler formats the exception into the message, and leaves nothing else of it."""
    prepared: Any = QueueHandler(queue.Queue()).prepare(record_of(exc_info=error_info()))

    row = decoded(encoder_with(), prepared)

    assert ("unknown", True) == (row["outcome"], "ValueError: no such user" in row["message"])


def test_a_stack_that_exists_as_text_only_goes_to_metadata() -> None:
    row = row_of(exc_text="Traceback:\n  ValueError: password=hunter2")

    assert ("failure", f"Traceback:\n  ValueError: password={REDACTED}") == (
        row["outcome"],
        row["metadata"]["exception.stacktrace"],
    )
