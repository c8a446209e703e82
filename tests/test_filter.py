"""Who and which request are on every record, and a row does not differ for it."""

from __future__ import annotations

import itertools
import json
import logging
import logging.config
import logging.handlers
import pickle
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from audit_handler import AuditContextFilter, bound, context
from audit_handler._record.encoder import RecordEncoder
from audit_handler._record.redaction import Redactor

SPAN = NonRecordingSpan(
    SpanContext(trace_id=0xA1, span_id=0xB2, is_remote=True, trace_flags=TraceFlags(1))
)
TRACE_ID = "000000000000000000000000000000a1"
NAMES = ("request_id", "trace_id", "agent_id")


@pytest.fixture(autouse=True)
def _nothing_bound() -> Iterator[None]:
    context.clear()
    yield
    context.clear()


def record_of(**extras: Any) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "shop", "msg": "paid", "action": "PAY", "event_id": "a" * 32, **extras}
    )


def printed(record: logging.LogRecord, **options: Any) -> tuple[str, ...]:
    assert AuditContextFilter(**options).filter(record)
    line = logging.Formatter("%(request_id)s %(trace_id)s %(agent_id)s").format(record)
    return tuple(line.split(" "))


def row_of(record: logging.LogRecord) -> dict[str, Any]:
    encoder = RecordEncoder(
        redactor=Redactor(),
        context=context.current,
        service_name="",
        max_value_bytes=65_536,
        max_row_bytes=1_000_000,
        now=lambda: record.created,
    )
    row: dict[str, Any] = json.loads(encoder.encode(record)[0])
    return row


def test_a_record_without_any_context_prints_the_default() -> None:
    assert ("-", "-", "-") == printed(record_of())
    assert ("?", "?", "?") == printed(record_of(), default="?")


def test_what_is_bound_is_printed() -> None:
    with bound(request_id="r-1", trace_id="t-1", agent_id=7):
        assert ("r-1", "t-1", "7") == printed(record_of())


def test_the_span_wins_over_what_is_bound() -> None:
    with bound(request_id="r-1", trace_id="t-1", agent_id="u-1"), trace.use_span(SPAN):
        assert (TRACE_ID, TRACE_ID, "u-1") == printed(record_of())


def test_an_explicit_extra_wins_over_both() -> None:
    with bound(request_id="r-1", agent_id="u-1"), trace.use_span(SPAN):
        ids = printed(record_of(request_id="mine", trace_id="too", agent_id="me"))

    assert ("mine", "too", "me") == ids


@pytest.mark.parametrize("has_span", [False, True])
@pytest.mark.parametrize("fields", [{}, {"request_id": "r-1", "trace_id": "t-1", "agent_id": 7}])
@pytest.mark.parametrize("extra", list(itertools.product([..., None, "", "mine"], repeat=2)))
def test_a_row_is_the_same_with_the_filter_and_without(
    has_span: bool, fields: dict[str, Any], extra: tuple[Any, Any]
) -> None:
    """The filter completes what is printed; what is stored comes from where it always came from."""
    given = dict(zip(("request_id", "agent_id"), extra, strict=True))
    extras = {name: value for name, value in given.items() if value is not ...}
    span = SPAN if has_span else trace.INVALID_SPAN

    with bound(**fields), trace.use_span(span):
        without, record = row_of(record_of(**extras)), record_of(**extras)
        shown = printed(record)
        with_filter = row_of(record)

    # The time of a row is the record's, so two of them have two.
    assert {**without, "event_time": ""} == {**with_filter, "event_time": ""}
    assert shown == tuple(str(with_filter.get(name, "-")) for name in NAMES)


def test_it_may_stand_in_two_places_with_two_defaults() -> None:
    record = record_of()

    AuditContextFilter(default="none").filter(record)

    with bound(agent_id="u-1"):
        assert ("-", "-", "u-1") == printed(record)


def test_a_placeholder_does_not_survive_the_way_to_another_process() -> None:
    record = record_of()
    AuditContextFilter().filter(record)

    received = logging.makeLogRecord(pickle.loads(pickle.dumps(record.__dict__)))

    assert (None, None, None) == tuple(received.__dict__[name] for name in NAMES)
    assert not row_of(received).keys() & set(NAMES)


def test_behind_a_queue_the_ids_are_those_of_the_thread_that_logged() -> None:
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    front = logging.handlers.QueueHandler(records)
    front.addFilter(AuditContextFilter())
    rows: list[dict[str, Any]] = []

    with bound(request_id="r-1", agent_id="u-1"):
        front.handle(record_of())
    thread = threading.Thread(target=lambda: rows.append(row_of(records.get())))
    thread.start()
    thread.join()

    assert ("r-1", "u-1") == (rows[0]["request_id"], rows[0]["agent_id"])


def test_dict_config_makes_it(capsys: pytest.CaptureFixture[str]) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"context": {"()": "audit_handler.AuditContextFilter", "default": "none"}},
            "formatters": {"line": {"format": "%(levelname)s %(request_id)s %(agent_id)s"}},
            "handlers": {
                "console": {
                    "class": "logging.StreamHandler",
                    "formatter": "line",
                    "filters": ["context"],
                }
            },
            "loggers": {"shop.lines": {"level": "INFO", "handlers": ["console"]}},
        }
    )
    with bound(agent_id="u-1"):
        logging.getLogger("shop.lines").info("paid")
    logging.getLogger("shop.lines").handlers.clear()

    assert "INFO none u-1\n" == capsys.readouterr().err


def test_an_id_forges_no_line_and_shows_no_secret() -> None:
    record = record_of(agent_id="ann\nERROR forged\x1b[31m", request_id="token=a1b2c3d4")

    assert AuditContextFilter().filter(record)

    values = vars(record)
    assert ("ann\\nERROR forged\\x1b[31m", "token=***REDACTED***") == (
        values["agent_id"],
        values["request_id"],
    )


def test_a_bound_id_forges_no_line() -> None:
    record = record_of()
    with bound(agent_id="ann\u2028forged"):
        AuditContextFilter().filter(record)

    assert "ann\\u2028forged" == vars(record)["agent_id"]
