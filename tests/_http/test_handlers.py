"""The handlers that audits reach, and what they are asked before a request is served."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from audit_handler import AuditHandler
from audit_handler._http.handlers import Handlers
from audit_handler._record.redaction import Redactor
from tests.support.asgi import private_logger
from tests.support.full_spools import fill


class Taking(logging.Handler):
    """Asked like an `AuditHandler` that drops what it cannot take."""

    def __init__(self, *secrets: str, takes: bool = True, waits: bool = False) -> None:
        super().__init__()
        self.redactor = Redactor(secrets)
        self._takes, self._waits = takes, waits

    def can_take(self) -> bool:
        return self._takes

    def may_wait(self) -> bool:
        return self._waits


# Which handlers


@pytest.mark.parametrize(("propagate", "expected"), [(True, ["own", "parents"]), (False, ["own"])])
def test_the_handlers_are_those_that_a_record_reaches(propagate: bool, expected: list[str]) -> None:
    own, parents = Taking(), Taking()
    logger = private_logger(logging.INFO, own, logging.NullHandler())
    logger.parent, logger.propagate = private_logger(logging.INFO, parents), propagate

    names = {own: "own", parents: "parents"}
    assert expected == [
        name for handler, name in names.items() if handler in list(Handlers(logger))
    ]


def test_a_handler_that_comes_later_is_found() -> None:
    logger = private_logger(logging.INFO)
    handlers = Handlers(logger)
    before = handlers.redactors()

    logger.addHandler(Taking("birthday"))

    assert (False, True) == (
        before.is_secret("birthday"),
        handlers.redactors().is_secret("birthday"),
    )


def test_without_a_handler_the_default_keys_are_secret() -> None:
    redactors = Handlers(private_logger(logging.INFO)).redactors()

    assert (True, False) == (redactors.is_secret("password"), redactors.is_secret("birthday"))


# Whether they take an audit


@pytest.mark.parametrize(
    ("takes", "expected"),
    [([], False), ([True, False], False), ([True, True], True)],
)
def test_an_audit_that_must_be_durable_needs_every_handler(
    takes: list[bool], expected: bool
) -> None:
    logger = private_logger(logging.INFO, *(Taking(takes=each) for each in takes))
    record = logging.makeLogRecord({"levelno": logging.INFO, "action": "CREATE"})

    assert Handlers(logger).can_take()
    assert expected == (not Handlers(logger).durable_obstacle(record))


def test_one_handler_that_may_wait_is_enough() -> None:
    logger = private_logger(logging.INFO, Taking(), Taking(waits=True))

    assert Handlers(logger).may_wait()


@pytest.mark.parametrize(
    ("options", "is_full", "expected"),
    [
        ({"on_full": "block"}, False, False),
        ({"on_full": "block"}, True, True),
        ({"on_full": "drop"}, True, False),
        ({"on_full": "raise"}, True, False),
        ({"on_full": "drop", "fsync": "always"}, False, True),
    ],
)
def test_a_handler_tells_whether_it_may_keep_its_caller_waiting(
    make_handler: Callable[..., AuditHandler], options: Any, is_full: bool, expected: bool
) -> None:
    handler = make_handler(
        "http://127.0.0.1:1", batch_bytes=65_536, max_spool_bytes=65_536, **options
    )
    if is_full:
        fill(handler)

    assert expected == handler.may_wait()
    assert expected == Handlers(private_logger(logging.INFO, handler)).may_wait()
