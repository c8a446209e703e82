"""The active OpenTelemetry span gives a row its ids, and costs nothing where there is none."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from audit_handler._record.encoder import RecordEncoder
from audit_handler._record.redaction import Redactor
from audit_handler._record.span_ids import active_span_ids

tracer = TracerProvider(shutdown_on_exit=False).get_tracer(__name__)

SPAN_CONTEXT = SpanContext(
    trace_id=0xA1, span_id=0xB2, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
)
TRACE_ID = "000000000000000000000000000000a1"
SPAN_ID = "00000000000000b2"


def ids_of_row(*, bound: dict[str, Any] | None = None, **extra: Any) -> dict[str, Any]:
    encoder = RecordEncoder(
        redactor=Redactor(),
        context=lambda: bound or {},
        service_name="",
        max_value_bytes=65_536,
        max_row_bytes=1_000_000,
        now=time.time,
    )
    row = json.loads(encoder.encode(logging.makeLogRecord({"action": "READ", **extra}))[0])
    return {name: row.get(name) for name in ("request_id", "trace_id", "span_id")}


def test_a_row_carries_the_ids_of_the_active_span() -> None:
    with tracer.start_as_current_span("request") as span:
        ids = ids_of_row()

    trace_id = trace.format_trace_id(span.get_span_context().trace_id)
    span_id = trace.format_span_id(span.get_span_context().span_id)
    assert {"request_id": trace_id, "trace_id": trace_id, "span_id": span_id} == ids


def test_ids_are_hex_of_full_width() -> None:
    with trace.use_span(NonRecordingSpan(SPAN_CONTEXT)):
        assert (TRACE_ID, SPAN_ID) == active_span_ids()


@pytest.mark.parametrize("name", ["request_id", "trace_id", "span_id"])
def test_an_explicit_extra_wins_over_the_span(name: str) -> None:
    of_span = {"request_id": TRACE_ID, "trace_id": TRACE_ID, "span_id": SPAN_ID}
    mine: dict[str, Any] = {name: "mine"}

    with trace.use_span(NonRecordingSpan(SPAN_CONTEXT)):
        ids = ids_of_row(**mine)

    assert {**of_span, name: "mine"} == ids


@pytest.mark.parametrize("nothing", [None, ""])
def test_an_empty_extra_leaves_the_request_id_to_the_span(nothing: str | None) -> None:
    with trace.use_span(NonRecordingSpan(SPAN_CONTEXT)):
        ids = ids_of_row(request_id=nothing)

    assert TRACE_ID == ids["request_id"]


def test_the_span_wins_over_a_bound_request_id() -> None:
    with trace.use_span(NonRecordingSpan(SPAN_CONTEXT)):
        ids = ids_of_row(bound={"request_id": "r-1"})

    assert TRACE_ID == ids["request_id"]


def test_a_bound_request_id_counts_where_there_is_no_span() -> None:
    ids = ids_of_row(bound={"request_id": "r-1"})

    assert {"request_id": "r-1", "trace_id": None, "span_id": None} == ids


def test_an_explicit_request_id_wins_over_a_bound_one() -> None:
    ids = ids_of_row(bound={"request_id": "r-1"}, request_id="mine")

    assert "mine" == ids["request_id"]


def test_a_request_id_whose_truth_cannot_be_told_does_not_cost_the_row() -> None:
    class Unsure:
        def __bool__(self) -> bool:
            raise ValueError

        def __str__(self) -> str:
            return "r-2"

    with trace.use_span(NonRecordingSpan(SPAN_CONTEXT)):
        ids = ids_of_row(request_id=Unsure())

    assert "r-2" == ids["request_id"]


def test_a_span_that_is_not_valid_is_none() -> None:
    with trace.use_span(trace.INVALID_SPAN):
        assert active_span_ids() is None


def test_another_thread_has_no_part_in_this_threads_span() -> None:
    seen: list[Any] = []

    with trace.use_span(NonRecordingSpan(SPAN_CONTEXT)):
        thread = threading.Thread(target=lambda: seen.append(active_span_ids()))
        thread.start()
        thread.join()

    assert [None] == seen


def test_looking_for_a_span_does_not_import_opentelemetry() -> None:
    program = """
import sys
from audit_handler._record.span_ids import active_span_ids
sys.modules.pop("opentelemetry.trace", None)
print(active_span_ids(), "opentelemetry.trace" in sys.modules)
"""
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "None False" == answer.stdout.strip()


def test_a_half_imported_opentelemetry_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", object())

    assert active_span_ids() is None
