"""C and Python encode each record in the same way, or C hands the record back."""

from __future__ import annotations

import json
import logging
import sys
import uuid
from collections import UserDict
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import MappingProxyType
from typing import Any

import opentelemetry.context
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from audit_handler._native import call_of, path
from audit_handler._native.ordinary import PURE
from audit_handler._record.encoder import RecordEncoder
from audit_handler._record.redaction import REDACTED, Redactor
from audit_handler.context import Placeholder
from audit_handler.schema import COLUMNS, Kind
from tests.support.native import as_it_is, encoded_in_c, needs_extension
from tests.support.native_records import case_records, drawn
from tests.support.once import examples
from tests.support.records import NOW, encoder_with, record_of

pytestmark = needs_extension

FULL = {
    "agent_id": "u-1",
    "agent_name": "Ada Lovelace",
    "action": "UPDATE",
    "resource_type": "order",
    "resource_id": 42,
    "ip_address": "10.0.0.1",
    "endpoint": "/api/v1/orders/42",
    "status_code": 200,
    "response_time_ms": 17,
    "request_body": {
        "lines": [{"sku": "a", "count": 2}],
        "total": 19.99,
        "paid": True,
        "note": None,
    },
    "request_headers": {"Authorization": "Bearer abc.def.ghi", "Accept": "*/*"},
}


def in_c(encoder: RecordEncoder, record: logging.LogRecord) -> dict[str, Any]:
    """Return the row that C makes, which is that of Python; the record must not be handed back."""
    expected = encoder.encode(record)
    made = encoded_in_c(encoder, record)
    assert made is not None
    assert as_it_is(expected) == as_it_is(made)
    row: dict[str, Any] = json.loads(made[0])
    return row


def is_handed_back(encoder: RecordEncoder, record: logging.LogRecord) -> bool:
    encoder.encode(record)  # it has every name and address in its caches now
    return encoded_in_c(encoder, record) is None


# The same bytes


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"service_name": "billing", "max_value_bytes": 400},
        {"makes_ids": False},
        {"redactor": Redactor(["zone"], patterns=[r"hunter\d"])},
        {"redactor": Redactor(["pin"], use_default_keys=False)},
        {"redactor": Redactor(exceptions=["token"])},
    ],
    ids=["defaults", "short values", "no ids", "more secrets", "own secrets", "an exception"],
)
@pytest.mark.parametrize("block", range(4))
def test_random_records_are_encoded_in_the_same_way(block: int, options: dict[str, Any]) -> None:
    fields: Any = {}
    encoder = encoder_with(context=lambda: fields, **options)
    call = call_of(encoder, None)
    compared = 0
    for seed in range(examples(500)):
        record, fields = drawn(block * 1_000_000 + seed)
        expected, made = encoder.encode(record), call.encode(record)
        if made is not None:
            compared += 1
            assert as_it_is(expected) == as_it_is(made), f"seed {block * 1_000_000 + seed}"
    assert compared > examples(500) // 12


def test_the_cases_of_the_redaction_are_encoded_in_the_same_way() -> None:
    encoder = encoder_with()
    call = call_of(encoder, None)
    compared = 0
    for record in case_records():
        encoder.encode(record)
        expected, made = encoder.encode(record), call.encode(record)
        if made is not None:
            compared += 1
            assert as_it_is(expected) == as_it_is(made)
    assert compared > 300


def test_an_ordinary_record_is_not_handed_back() -> None:
    row = in_c(encoder_with(), record_of(FULL, msg="order %s: %d", args=("a", 3)))

    assert ("order a: 3", "42", "success") == (row["message"], row["resource_id"], row["outcome"])
    assert {"Authorization": REDACTED, "Accept": "*/*"} == row["request_headers"]


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"zone": "eu", "metadata": {"tenant": {"id": 3}}},
        {"metadata": {}},
        {"metadata": {"tenant": "a"}},
        {"zone": {"password": "correct horse battery"}},
        {"resource_id": uuid.UUID(int=7)},
        {"agent_id": None, "zone": None, "trace_id": Placeholder("-")},
        {"outcome": "failure", "status_code": 0},
        {"error_message": "boom"},
        {
            "agent_name": "Zo\u00eb \u2603",
            "resource_name": 'a "b"\n',
            "old_value": {"\u00fc": "\u2028"},
        },
        {"new_value": [1, -5, 2**63 - 1, 0.5, 1e-3, -0.0, True, [], {}, ()]},
        {"message_id": "m", "taskName": "t", "otelTraceID": "0"},
    ],
    ids=repr,
)
def test_what_applications_log_is_not_handed_back(extra: dict[str, Any]) -> None:
    in_c(encoder_with(), record_of({"action": "READ", **extra}))


@pytest.mark.parametrize(
    "value",
    ["S3cretS3cretS3cret", "hunter2-hunter2-hunter2", "xxxx-1234-abcd-9876", "/srv/real-secret-1"],
)
def test_a_secret_under_a_known_name_is_replaced(value: str) -> None:
    row = in_c(encoder_with(), record_of(request_body={"user": {"password": value}, "n": 1}))

    assert {"user": {"password": REDACTED}, "n": 1} == row["request_body"]


def test_bound_fields_come_first_and_extras_win() -> None:
    fields = MappingProxyType({"agent_id": "bound", "resource_type": "order", "zone": "eu"})
    encoder = encoder_with(context=lambda: fields)

    row = in_c(encoder, record_of(agent_id="extra", zone=None))

    assert ("extra", "order") == (row["agent_id"], row["resource_type"])
    assert {"zone": "eu"} == row["metadata"]


@contextmanager
def active_span() -> Iterator[trace.SpanContext]:
    tracer = TracerProvider().get_tracer("tests")
    with tracer.start_as_current_span("request") as span:
        yield span.get_span_context()


@pytest.mark.parametrize("given", [{}, {"request_id": "r-1"}, {"request_id": "", "span_id": "s"}])
def test_the_ids_of_the_active_span_are_those_that_python_takes(given: dict[str, str]) -> None:
    encoder = encoder_with(context=lambda: {"request_id": "bound", "trace_id": "bound"})

    with active_span() as context:
        row = in_c(encoder, record_of(given))

    assert f"{context.trace_id:032x}" == row["trace_id"]


def test_each_row_has_an_id_of_its_own_also_between_c_and_python() -> None:
    encoder = encoder_with()
    record = record_of(action="READ")
    call = call_of(encoder, None)

    rows = [json.loads(each.encode(record)[0]) for each in [encoder, call] * 50]

    assert 100 == len({row["event_id"] for row in rows})
    assert {7} == {uuid.UUID(row["event_id"]).version for row in rows}


def test_a_new_second_is_formatted_and_a_time_that_python_refuses_is_handed_back() -> None:
    encoder = encoder_with()
    call = call_of(encoder, None)
    record = record_of()

    for seconds in (0.0, 0.999_999_9, 1.0, -3600.0, -31_536_000.0 * 50):
        record.created = NOW.timestamp() + seconds
        assert as_it_is(encoder.encode(record)) == as_it_is(call.encode(record))
    record.created = NOW.timestamp() + 100_000
    assert call.encode(record) is None


def test_a_name_that_is_found_to_be_a_secrets_later_is_known_from_then_on() -> None:
    encoder = encoder_with()
    call = call_of(encoder, None)
    record = record_of(request_body={"smtp_password": "correct-horse-battery"})

    assert call.encode(record) is None
    expected = encoder.encode(record)
    assert as_it_is(expected) == as_it_is(call.encode(record))
    assert REDACTED.encode() in expected[0]


# What is handed back


@pytest.mark.parametrize(
    "attributes",
    [
        {"exc_info": (ValueError, ValueError("boom"), None)},
        {"exc_text": "Traceback"},
        {"stack_info": "Stack"},
        {"status_code": 70_000},
        {"status_code": True},
        {"ip_address": "10.0.0.1:80"},
        {"ip_address": "nowhere"},
        {"event_time": NOW},
        {"event_id": str(uuid.UUID(int=1))},
        {"seq": 1},
        {"_invalid": 1},
        {"_redact_except": ("token",)},
        {"metadata": "text"},
        {"metadata": {"_truncated": 1}},
        {"zone": 1, "metadata": {"zone": 2}},
        {"request_body": {"password": "true"}},
        {"request_body": {"password": 12345}},
        {"request_body": {1: 2}},
        {"request_body": {"a": {1, 2}}},
        {"request_body": {"a": float("nan")}},
        {"request_body": {"a": 1e300}},
        {"request_body": {"a": 2**64}},
        {"request_body": "a\ud800"},
        {"request_body": "x" * 40_000},
        {"msg": "password=hunter2hunter2"},
        {"msg": "%d", "args": ("x",)},
        {"msg": "%s", "args": (object,)},
        {"msg": 5},
        {"created": 5},
        {"levelname": "\x1b[1mINFO\x1b[0m"},
    ],
    ids=lambda attributes: repr(attributes)[:60],
)
def test_what_is_not_ordinary_is_handed_back(attributes: dict[str, Any]) -> None:
    assert is_handed_back(encoder_with(), record_of({"action": "READ"}, **attributes))


def test_a_record_of_another_class_is_handed_back() -> None:
    record = type("Record", (logging.LogRecord,), {})("a", 20, "a.py", 1, "a", (), None)

    assert is_handed_back(encoder_with(), record)


@pytest.mark.parametrize("name", ["message", "args", "name", "metadata", "seq"])
def test_a_bound_field_with_the_name_of_an_attribute_is_handed_back(name: str) -> None:
    """A field named `message` crashed the first draft."""
    encoder = encoder_with(context=lambda: {name: {"a": 1}})

    assert is_handed_back(encoder, record_of({"metadata": {"b": 2}}))


def test_lists_and_dicts_that_contain_themselves_are_handed_back() -> None:
    loop: dict[str, Any] = {"list": []}
    loop["list"].append(loop)

    assert is_handed_back(encoder_with(), record_of(request_body=loop))


def test_an_encoder_that_lists_what_it_redacts_has_no_call() -> None:
    assert call_of(encoder_with(lists_redacted=True), None) is None


def test_a_pattern_that_cannot_be_translated_leaves_everything_to_python() -> None:
    assert call_of(encoder_with(redactor=Redactor(patterns=[r"(?<=x)y"])), None) is None


def test_a_method_of_logging_that_an_application_has_replaced_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = encoder_with()
    call = call_of(encoder, None)
    monkeypatch.setattr(logging.LogRecord, "getMessage", lambda self: f"masked {self.lineno}")

    assert (None, None) == (call.encode(record_of()), call_of(encoder, None))
    monkeypatch.undo()
    assert is_handed_back(encoder, record_of({"getMessage": "text"}))


def test_a_uuid_that_cannot_be_read_is_handed_back() -> None:
    assert is_handed_back(encoder_with(), record_of(resource_id=object.__new__(uuid.UUID)))


def test_opentelemetry_that_is_being_imported_has_no_span(monkeypatch: pytest.MonkeyPatch) -> None:
    def half_loaded() -> None:
        raise AttributeError("partially initialized module")

    monkeypatch.setattr(opentelemetry.context, "get_current", half_loaded)

    in_c(encoder_with(), record_of(action="READ"))


def test_bound_fields_that_are_no_pairs_are_handed_back() -> None:
    class Fields(UserDict[str, int]):
        def items(self) -> Any:
            return [1, 2]

    encoder = encoder_with(context=lambda: MappingProxyType(Fields(a=1)))

    assert encoded_in_c(encoder, record_of()) is None


def test_a_name_that_raises_when_it_is_compared_raises_as_in_python() -> None:
    class Name(str):
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            raise ValueError("compared")

    record = record_of()
    record.__dict__[Name("zone")] = 1
    encoder = encoder_with(context=lambda: {"zone": 2})

    with pytest.raises(ValueError, match="compared"):
        encoded_in_c(encoder, record)


@pytest.mark.parametrize(
    "beside",
    [{"note": 'a "b"'}, {"note": "a\\"}, {"note": "x " * 2_100}],
    ids=["a quote", "a backslash", "much text"],
)
def test_a_secret_beside_what_python_walks_through_is_handed_back(beside: dict[str, str]) -> None:
    """The rules then also look at what no search finds: "k" is a key's because of "k_ty"."""
    body = {"password": "correct-horse-battery", "k_ty": "oct", "k": "abcdefg", **beside}

    assert is_handed_back(encoder_with(), record_of(request_body=body))


@pytest.mark.parametrize("pattern", [r"hunter\d+$", r"(?#own)hunter\d", r" +?(?:\d{65}){65}"])
def test_a_pattern_that_rust_cannot_search_for_leaves_everything_to_python(pattern: str) -> None:
    assert call_of(encoder_with(redactor=Redactor(patterns=[pattern])), None) is None


# Which columns C knows


def test_every_column_that_an_application_sets_is_known() -> None:
    """A column of a new kind is handed back until C knows it."""
    examples_of = {
        Kind.TEXT: "a",
        Kind.CONTENT: "a",
        Kind.UINT16: 1,
        Kind.UINT32: 1,
        Kind.IP: "10.0.0.1",
        Kind.OUTCOME: "success",
    }
    handed_back = {
        name
        for name, kind in COLUMNS.items()
        if is_handed_back(encoder_with(), record_of({name: examples_of.get(kind, "a")}))
    }

    filled_in = {name for name, kind in COLUMNS.items() if kind in (Kind.RECORD, Kind.SERVER)}
    assert {"event_id", "event_time", "metadata"} | (filled_in - {"message"}) >= handed_back
    assert {"event_id", "event_time", "seq", "writer_id"} <= handed_back


# Which path runs


def test_the_variable_leaves_the_extension_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "C" == path()
    monkeypatch.setenv(PURE, "1")

    assert (f"Python, because {PURE} is set", None) == (path(), call_of(encoder_with(), None))


def test_a_package_without_the_extension_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "audit_handler._native._call", None)

    assert path().startswith("Python, because")


# Texts


def test_c_suspects_each_text_that_the_redaction_suspects() -> None:
    encoder = encoder_with()
    call, search = call_of(encoder, None), encoder.redactor.suspects.search
    random = Random(7)
    suspected = 0
    words = [word for record in case_records() for word in texts_of(vars(record)) if word.isascii()]
    for word in words:
        for text in (word, word.swapcase(), f"{word} {random.choice(words)}", json.dumps(word)):
            if search(text):
                suspected += 1
                assert call.is_suspect(text), text
    assert suspected > 2_000


def texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield json.dumps(value, default=str)
        for name, item in value.items():
            yield str(name)
            yield from texts_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_of(item)
