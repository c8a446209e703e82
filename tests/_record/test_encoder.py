"""A log record becomes one row: nothing costs the row, nothing is lost, nothing is invented."""

from __future__ import annotations

import json
import logging
import queue
import sys
import time
import uuid
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address
from logging.handlers import QueueHandler
from types import TracebackType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_handler._record.encoder import RecordEncoder
from audit_handler._record.redaction import REDACTED, Redactor
from audit_handler.context import Placeholder
from audit_handler.schema import COLUMNS, Kind

NOW = datetime(2026, 11, 23, 3, 4, 5, 123456, timezone.utc)
SECRET = "hunter2"
MAX_ROW_BYTES = 65_536 - 128
EVENT_ID = "01939e8c-6f2a-7c3e-8000-000000000001"


def encoder_with(**options: Any) -> RecordEncoder:
    defaults: dict[str, Any] = {
        "redactor": Redactor(),
        "context": dict,
        "service_name": "",
        "max_value_bytes": 65_536,
        "max_row_bytes": 8 * 1024 * 1024,
        "now": NOW.timestamp,
    }
    return RecordEncoder(**{**defaults, **options})


def record_of(extra: Mapping[Any, Any] | None = None, **attributes: Any) -> logging.LogRecord:
    """Return a record as `Logger.makeRecord` makes it, without its checks."""
    record = logging.LogRecord("app", logging.INFO, "app.py", 1, "done", (), None)
    record.created = NOW.timestamp()
    record.__dict__.update({**(extra or {}), **attributes})
    return record


def decoded(encoder: RecordEncoder, record: logging.LogRecord) -> dict[str, Any]:
    """Return the row that ClickHouse would read."""
    row: dict[str, Any] = json.loads(encoder.encode(record)[0])
    return row


def row_of(
    extra: Mapping[Any, Any] | None = None, *, bound: Mapping[str, Any] | None = None, **extras: Any
) -> dict[str, Any]:
    """Return the row that ClickHouse would read."""
    return decoded(encoder_with(context=lambda: bound or {}), record_of(extra, **extras))


def error_info() -> tuple[type[BaseException], BaseException, TracebackType | None]:
    try:
        raise ValueError("no such user")
    except ValueError as exc:
        return type(exc), exc, exc.__traceback__


# The row


def test_a_record_without_extras_has_what_the_record_knows() -> None:
    row = row_of()

    assert {
        "event_time": "2026-11-23 03:04:05.123456",
        "event_id": row["event_id"],
        "level": "INFO",
        "logger": "app",
        "message": "done",
        "outcome": "unknown",
    } == row


def test_event_time_is_the_first_key() -> None:
    line, _ = encoder_with().encode(record_of(action="READ", event_time=NOW, zone="x" * 70_000))

    assert line.startswith(b'{"event_time":"2026-11-23 03:04:05.123456",')


def test_encode_returns_the_month_of_the_events_own_time() -> None:
    _, month = encoder_with().encode(record_of(event_time="2025-02-28T23:59:59Z"))

    assert "2025-02" == month


@pytest.mark.parametrize(
    "name", [name for name, kind in COLUMNS.items() if kind in (Kind.TEXT, Kind.CONTENT)]
)
def test_an_extra_fills_the_column_of_its_name(name: str) -> None:
    expected = {"metadata": "v"} if name == "metadata" else "v"

    assert expected == row_of({name: "v"})[name]


def test_the_default_of_a_service_name_is_the_handlers() -> None:
    encoder = encoder_with(service_name="billing")

    rows = [decoded(encoder, record_of(service_name=given)) for given in (None, "", "mine")]

    assert ["billing", "billing", "mine"] == [row["service_name"] for row in rows]


def test_every_row_has_an_event_id_of_its_own() -> None:
    encoder = encoder_with()

    ids = [decoded(encoder, record_of())["event_id"] for _ in range(100)]

    assert 100 == len(set(ids))


def test_the_message_is_formatted_with_its_arguments() -> None:
    assert "user bob" == row_of(msg="user %s", args=("bob",))["message"]


# Which wins


def test_an_extra_wins_over_a_bound_field_and_that_over_the_default() -> None:
    encoder = encoder_with(
        context=lambda: {"service_name": "bound", "agent_id": "bound"}, service_name="default"
    )

    row = decoded(encoder, record_of(agent_id="extra"))

    assert ("bound", "extra") == (row["service_name"], row["agent_id"])


def test_none_says_nothing_and_leaves_the_word_to_what_is_bound() -> None:
    bound = {"agent_id": "u-1", "metadata": {"tenant": "t-1"}}
    row = row_of({"agent_id": None, "metadata": None, "zone": None}, bound=bound)

    assert ("u-1", {"tenant": "t-1"}) == (row["agent_id"], row["metadata"])


def test_an_empty_text_hides_what_is_bound() -> None:
    assert "" == row_of({"agent_id": ""}, bound={"agent_id": "u-1"})["agent_id"]


def test_bound_and_given_metadata_are_joined_and_the_given_one_wins() -> None:
    row = row_of(
        {"metadata": {"zone": "given", "batch": 7}, "module_name": "m"},
        bound={"metadata": {"zone": "bound", "tenant": "t-1"}},
    )

    expected = {"zone": "given", "batch": 7, "tenant": "t-1", "module_name": "m"}
    assert expected == row["metadata"]


def test_bound_fields_that_are_no_columns_go_to_metadata() -> None:
    assert {"tenant": "t-1", "module": "m"} == row_of(bound={"tenant": "t-1", "module": "m"})[
        "metadata"
    ]


@pytest.mark.parametrize("name", ["seq", "writer_id", "event_date", "ingested_at"])
def test_a_column_of_the_handler_or_of_clickhouse_cannot_be_set(name: str) -> None:
    row = row_of({name: "forged"})

    assert (False, {name: "forged"}) == (name in row, row["metadata"])


@pytest.mark.parametrize(("name", "expected"), [("level", "INFO"), ("logger", "app")])
def test_what_the_record_knows_cannot_be_overridden(name: str, expected: str) -> None:
    row = row_of({name: "forged"})

    assert (expected, {name: "forged"}) == (row[name], row["metadata"])


def test_a_bound_message_does_not_replace_the_records() -> None:
    row = row_of(bound={"message": "forged"})

    assert ("done", {"message": "forged"}) == (row["message"], row["metadata"])


# What is no column


def test_an_unknown_extra_goes_to_metadata_and_beside_it() -> None:
    row = row_of(tenant={"id": 5})

    assert ({"tenant": {"id": 5}}, {"id": 5}) == (row["metadata"], row["tenant"])


def test_given_metadata_is_not_set_beside_the_columns() -> None:
    row = row_of(metadata={"tenant": "t-1"}, zone="z-1")

    assert ({"tenant": "t-1", "zone": "z-1"}, False) == (row["metadata"], "tenant" in row)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ('{"a": {"b": 1}}', {"a": {"b": 1}}),
        ('{"a": ', {"metadata": '{"a": '}),
        ("[1]", {"metadata": "[1]"}),
        ([1], {"metadata": [1]}),
        (5, {"metadata": 5}),
    ],
)
def test_metadata_is_an_object_whatever_was_given(given: Any, expected: Any) -> None:
    assert expected == row_of(metadata=given)["metadata"]


def test_the_records_own_attributes_are_no_extras() -> None:
    record = logging.getLogger("app").makeRecord("app", 20, "a.py", 1, "m", (), None, "f")
    record.created = NOW.timestamp()
    record.taskName = "Task-1"
    record.asctime = "now"
    for name in ("otelTraceID", "otelSpanID", "otelTraceSampled", "otelServiceName"):
        setattr(record, name, "0")

    assert "metadata" not in decoded(encoder_with(), record)


@pytest.mark.parametrize("said", [None, Placeholder("-")])
def test_a_bound_surrogate_is_mended_where_the_extra_says_nothing(said: Any) -> None:
    """The encoder raised, and the row was dropped."""
    row = row_of(agent_name=said, bound={"agent_name": "a\ud800b"})

    assert "a\\ud800b" == row["agent_name"]


@pytest.mark.parametrize("mark", ["_invalid", "_truncated"])
def test_an_extra_named_like_a_mark_is_kept_apart_from_it(mark: str) -> None:
    row = row_of({mark: "mine", "status_code": -1, "agent_name": "\ud800"})

    assert {mark: "mine", "status_code": -1, "agent_name": "\\ud800"} == row["metadata"]["_invalid"]


# Values that a column cannot hold

HELD = [
    ("status_code", 0, 0),
    ("status_code", 65_535, 65_535),
    ("status_code", "201", 201),
    ("status_code", HTTPStatus.CREATED, 201),
    ("response_time_ms", 2**32 - 1, 2**32 - 1),
    ("response_time_ms", 12.7, 13),
    ("response_time_ms", Decimal("12.7"), 13),
    ("ip_address", "10.1.2.3", "10.1.2.3"),
    ("ip_address", "2001:DB8::1", "2001:DB8::1"),
    ("ip_address", "::ffff:10.1.2.3", "::ffff:10.1.2.3"),
    ("ip_address", IPv4Address("10.1.2.3"), "10.1.2.3"),
    ("ip_address", IPv6Address("::1"), "::1"),
    ("event_id", EVENT_ID, EVENT_ID),
    ("event_id", EVENT_ID.replace("-", ""), EVENT_ID),
    ("event_id", uuid.UUID(EVENT_ID), EVENT_ID),
    ("event_id", "{" + EVENT_ID.upper() + "}", EVENT_ID),
    ("outcome", "success", "success"),
    ("outcome", "FAILURE", "failure"),
    ("outcome", Enum("Outcome", {"UNKNOWN": "unknown"})("unknown"), "unknown"),
    ("event_time", NOW, "2026-11-23 03:04:05.123456"),
    ("event_time", NOW.replace(tzinfo=None), "2026-11-23 03:04:05.123456"),
    (
        "event_time",
        NOW.astimezone(timezone(timedelta(hours=5, minutes=30))),
        "2026-11-23 03:04:05.123456",
    ),
    ("event_time", date(2026, 11, 23), "2026-11-23 00:00:00.000000"),
    ("event_time", "2026-11-23T03:04:05.123456Z", "2026-11-23 03:04:05.123456"),
    ("event_time", "2026-11-23 04:04:05+01:00", "2026-11-23 03:04:05.000000"),
    ("event_time", 1_795_000_000, "2026-11-18 11:06:40.000000"),
    ("event_time", 1_795_000_000.000001, "2026-11-18 11:06:40.000001"),
    ("event_time", "2020-01-01", "2020-01-01 00:00:00.000000"),
    ("event_time", NOW + timedelta(days=1), "2026-11-24 03:04:05.123456"),
]

NOT_HELD = [
    ("status_code", 65_536),
    ("status_code", -1),
    ("status_code", True),
    ("status_code", float("nan")),
    ("status_code", float("inf")),
    ("status_code", "OK"),
    ("status_code", "12.7"),
    ("status_code", [200]),
    ("status_code", 10**400),
    ("response_time_ms", 2**32),
    ("response_time_ms", -0.6),
    ("response_time_ms", timedelta(seconds=1)),
    ("ip_address", "n/a"),
    ("ip_address", "999.1.1.1"),
    ("ip_address", "10.1.2.3:8080"),
    ("ip_address", "[::1]:80"),
    ("ip_address", "fe80::1%eth0"),
    ("ip_address", "10.1.2.3, 10.1.2.4"),
    ("ip_address", " 10.1.2.3"),
    ("ip_address", 5),
    ("ip_address", "1" * 100_000),
    ("event_id", "junk"),
    ("event_id", 5),
    ("event_id", EVENT_ID + "0"),
    ("outcome", "fine"),
    ("outcome", True),
    ("event_time", "yesterday"),
    ("event_time", "2026-02-30"),
    ("event_time", datetime(9999, 12, 31, tzinfo=timezone.utc)),
    ("event_time", datetime(1, 1, 1, tzinfo=timezone.utc)),
    ("event_time", "2019-12-31T23:59:59.999999Z"),
    ("event_time", NOW + timedelta(days=1, microseconds=1)),
    ("event_time", 1_795_000_000_000),
    ("event_time", float("nan")),
    ("event_time", True),
]


@pytest.mark.parametrize(("name", "value", "expected"), HELD)
def test_a_value_is_written_as_its_column_takes_it(name: str, value: Any, expected: Any) -> None:
    row = row_of({name: value})

    assert (expected, False) == (row[name], "metadata" in row)


@pytest.mark.parametrize(("name", "value"), NOT_HELD, ids=lambda value: repr(value)[:30])
def test_a_value_that_its_column_cannot_hold_is_kept_in_metadata(name: str, value: Any) -> None:
    default = row_of().get(name)

    row = decoded(encoder_with(max_value_bytes=1_000_000), record_of({name: value}))
    row.pop("event_id") if name == "event_id" else None

    assert (Redactor().clean(value), None if name == "event_id" else default) == (
        row["metadata"]["_invalid"][name],
        row.get(name),
    )


def test_an_event_with_a_bad_id_gets_a_good_one() -> None:
    assert 7 == uuid.UUID(row_of(event_id="junk")["event_id"]).version


@pytest.mark.parametrize("created", [0.0, 1e12, float("nan"), None, "now", 10**400])
def test_a_record_of_an_impossible_time_is_stored_now(created: Any) -> None:
    row = decoded(encoder_with(), record_of(created=created))

    assert ("2026-11-23 03:04:05.123456", Redactor().clean(created)) == (
        row["event_time"],
        row["metadata"]["_invalid"]["event_time"],
    )


@given(
    st.datetimes(
        datetime.fromisoformat("2020-01-01"),
        NOW.replace(tzinfo=None),
        timezones=st.just(timezone.utc),
    )
)
def test_times_are_exact_to_the_microsecond(moment: datetime) -> None:
    encoder = encoder_with()
    expected = moment.strftime("%Y-%m-%d %H:%M:%S.%f")

    rows = (
        decoded(encoder, record_of(event_time=moment)),
        decoded(encoder, record_of(created=moment.timestamp())),
    )

    assert [expected] * 2 == [row["event_time"] for row in rows]


def test_a_time_is_never_rounded_into_the_next_second() -> None:
    encoder = encoder_with()

    row = decoded(encoder, record_of(created=1_795_000_000.9999998))

    assert "2026-11-18 11:06:40.999999" == row["event_time"]


def test_addresses_that_are_remembered_do_not_fill_the_memory() -> None:
    encoder = encoder_with()
    decoded(encoder, record_of(ip_address="x" * 1_000_000))

    for number in range(5_000):
        decoded(encoder, record_of(ip_address=f"10.0.{number >> 8}.{number & 255}"))

    assert (4096, True) == (len(encoder._addresses), max(map(len, encoder._addresses)) < 64)


# Objects


def test_dicts_and_lists_become_json_text_of_their_column() -> None:
    """ClickHouse stores an embedded object in a String column as its text."""
    row = row_of(old_value={"a": [1]}, new_value=[{"a": 2}], agent_id=5, resource_id={"id": 1})

    assert ({"a": [1]}, [{"a": 2}], "5", '{"id":1}') == (
        row["old_value"],
        row["new_value"],
        row["agent_id"],
        row["resource_id"],
    )


def test_later_changes_to_an_object_do_not_show() -> None:
    body = {"items": [1]}
    line, _ = encoder_with().encode(record_of(request_body=body, tenant=body, metadata=body))

    body["items"].append(2)

    row = json.loads(line)
    assert [{"items": [1]}, {"items": [1]}, {"items": [1], "tenant": {"items": [1]}}] == [
        row[name] for name in ("request_body", "tenant", "metadata")
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\ud800b", "a\\ud800b"),
        (["\udfff"], ["\\udfff"]),
        ({"\ud800": 1}, {"\\ud800": 1}),
        (b"a\xffb", "a\\xffb"),
        (10**5000, hex(10**5000)),
        ([10**5000], [hex(10**5000)]),
        (2**64, 2**64),
        (float("nan"), "nan"),
        ("a\nb\r\u2028\x00", "a\nb\r\u2028\x00"),
    ],
    ids=["text", "list", "key", "bytes", "huge", "huge in list", "large", "nan", "controls"],
)
@pytest.mark.parametrize("name", ["request_body", "tenant"])
def test_what_json_cannot_say_is_written_so_that_it_can_be_read(
    name: str, value: Any, expected: Any
) -> None:
    assert expected == row_of({name: value})[name]


@pytest.mark.parametrize("name", ["agent_id", "request_body"])
def test_a_column_with_a_lone_surrogate_is_marked(name: str) -> None:
    row = row_of({name: "a\ud800b", "agent_name": "bob"})

    assert {name: "a\\ud800b"} == row["metadata"]["_invalid"]


def test_a_lone_surrogate_in_a_name_or_in_metadata_does_not_cost_the_row() -> None:
    row = row_of({"x\ud800": "a"}, metadata={"y\ud800": "\ud800"}, msg="\ud800")

    assert ({"x\\ud800": "a", "y\\ud800": "\\ud800"}, "\\ud800") == (
        {name: row["metadata"][name] for name in ("x\\ud800", "y\\ud800")},
        row["message"],
    )


@pytest.mark.parametrize("name", [5, None, ("a", "b"), type("Name", (str,), {})("tenant")], ids=str)
def test_a_name_that_is_no_text_becomes_one(name: Any) -> None:
    assert {str(name): "v"} == row_of({name: "v"})["metadata"]


@pytest.mark.parametrize("attribute", ["levelname", "name", "msg", "exc_text", "stack_info"])
@pytest.mark.parametrize("value", [5, None, b"\xff", "\ud800", object], ids=repr)
def test_attributes_of_the_wrong_type_do_not_cost_the_row(attribute: str, value: Any) -> None:
    assert "READ" == row_of({"action": "READ", attribute: value})["action"]


# Limits


def test_a_long_value_is_cut_and_its_size_is_marked() -> None:
    line, _ = encoder_with(max_value_bytes=256).encode(record_of(request_body="x" * 1000))

    row = json.loads(line)
    assert ("x" * 256, {"request_body": 1000}) == (
        row["request_body"],
        row["metadata"]["_truncated"],
    )


def test_a_value_of_exactly_the_limit_is_whole() -> None:
    line, _ = encoder_with(max_value_bytes=256).encode(
        record_of(request_body="x" * 256, old_value="é" * 128)
    )

    row = json.loads(line)
    assert ("x" * 256, "é" * 128, False) == (
        row["request_body"],
        row["old_value"],
        "metadata" in row,
    )


@given(st.text(min_size=1, max_size=300), st.integers(256, 300))
def test_a_cut_falls_between_characters(text: str, limit: int) -> None:
    value = text * (1 + 1000 // len(text))
    size = len(value.encode())

    line, _ = encoder_with(max_value_bytes=limit).encode(record_of(agent_name=value))

    cut = json.loads(line)["agent_name"]
    assert (True, True) == (
        value.startswith(cut),
        min(size, limit) - 3 <= len(cut.encode()) <= limit,
    )


def test_a_long_object_is_cut_as_its_text() -> None:
    body = {"items": ["x" * 10] * 100}
    line, _ = encoder_with(max_value_bytes=256).encode(record_of(request_body=body))

    row = json.loads(line)
    assert (json.dumps(body, separators=(",", ":"))[:256], {"request_body": 1311}) == (
        row["request_body"],
        row["metadata"]["_truncated"],
    )


def test_long_metadata_stays_an_object_and_keeps_its_small_values() -> None:
    line, _ = encoder_with(max_value_bytes=256).encode(
        record_of(metadata={"big": "x" * 1000, "small": 5, "list": ["y" * 500]})
    )

    metadata = json.loads(line)["metadata"]
    assert (5, {"metadata.big": 1002, "metadata.list": 504}) == (
        metadata["small"],
        metadata["_truncated"],
    )


def test_a_value_of_10_mb_leaves_a_row_of_bounded_size() -> None:
    line, _ = encoder_with(max_row_bytes=MAX_ROW_BYTES).encode(
        record_of(request_body="x" * 10_000_000, tenant="y" * 10_000_000, agent_id="u-1")
    )

    row = json.loads(line)
    assert (True, "u-1", 10_000_000) == (
        len(line) <= MAX_ROW_BYTES,
        row["agent_id"],
        row["metadata"]["_truncated"]["request_body"],
    )


@pytest.mark.parametrize(
    "extras",
    [
        {f"extra_{number}": number for number in range(5_000)},
        {f"extra_{number}": "\x00" * 300 for number in range(2_000)},
        {f"{number}{'n' * 1000}": 1 for number in range(1_000)},
        {"n" * 1_000_000: 1},
        {
            name: "\x01" * 70_000
            for name, kind in COLUMNS.items()
            if kind in (Kind.TEXT, Kind.CONTENT)
        },
        {name: '"\\' * 70_000 for name in COLUMNS if COLUMNS[name] is not Kind.SERVER},
        {"metadata": {f"{number}": '"\\' * 100 for number in range(5_000)}},
        {"metadata": {"\x00" * 100_000: "\x00" * 100_000}},
    ],
    ids=[
        "many extras",
        "many of signs",
        "long names",
        "one long name",
        "columns of signs",
        "columns of quotes",
        "metadata",
        "metadata of signs",
    ],
)
@pytest.mark.parametrize("max_value_bytes", [256, 65_536, 1_048_576])
def test_a_row_never_exceeds_its_limit_and_what_was_cut_is_marked(
    extras: dict[str, Any], max_value_bytes: int
) -> None:
    encoder = encoder_with(max_row_bytes=MAX_ROW_BYTES, max_value_bytes=max_value_bytes)

    line, _ = encoder.encode(record_of({"action": "READ", "outcome": "success", **extras}))

    row = json.loads(line)
    assert (True, True, True) == (
        len(line) <= MAX_ROW_BYTES,
        bool(row["metadata"]["_truncated"]),
        row["event_time"].startswith("2026"),
    )


# Messages and exceptions


@pytest.mark.parametrize(
    ("msg", "args", "expected"),
    [
        ("%d users", ("many",), "%d users <message arguments: TypeError>"),
        ("%s and %s", ("one",), "%s and %s <message arguments: TypeError>"),
        (5, (), "5"),
        (type("Rude", (), {"__str__": lambda _: 1 / 0})(), (), "<unreadable Rude>"),
    ],
    ids=["type", "number", "int", "raises"],
)
def test_a_message_that_cannot_be_formatted_is_stored_as_it_is(
    msg: Any, args: Any, expected: str
) -> None:
    assert row_of(msg=msg, args=args)["message"].startswith(expected)


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


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({}, "unknown"),
        ({"status_code": 0}, "unknown"),
        ({"status_code": 200}, "success"),
        ({"status_code": 399}, "success"),
        ({"status_code": 400}, "failure"),
        ({"status_code": 503}, "failure"),
        ({"status_code": -1}, "unknown"),
        ({"status_code": 200, "outcome": "failure"}, "failure"),
        ({"status_code": 500, "outcome": "success"}, "success"),
        ({"status_code": 500, "outcome": "fine"}, "failure"),
    ],
    ids=str,
)
def test_the_outcome_follows_from_the_extra_else_from_the_status(
    extra: dict[str, Any], expected: str
) -> None:
    assert expected == row_of(extra)["outcome"]


# Secrets


@pytest.mark.parametrize(
    "attributes",
    [
        {"msg": f"login with password={SECRET}"},
        {"msg": "login with %s", "args": ({"password": SECRET, "x": 1},)},
        {"password": SECRET},
        {"tenant": {"api_key": SECRET}},
        {"url": f"https://example.org/?token={SECRET}"},
        {"metadata": {"a": {"token": SECRET}}},
        {"metadata": json.dumps({"token": SECRET})},
        {"metadata": f"token={SECRET}"},
        {"endpoint": f"/login?password={SECRET}"},
        {"error_message": f"bad password: {SECRET}"},
        {"error_message": ValueError(f"bad password: {SECRET}")},
        {"request_body": json.dumps({"password": SECRET})},
        {"request_body": json.dumps({"password": SECRET}).encode()},
        {"request_body": f"user=bob&password={SECRET}"},
        {"request_body": f"user=bob&password={SECRET}".encode()},
        {"request_body": [{"password": SECRET}]},
        {"request_headers": {"Authorization": f"Bearer {SECRET}"}},
        {"request_headers": [("Cookie", f"sid={SECRET}")]},
        {"request_headers": [[b"set-cookie", f"sid={SECRET}".encode()]]},
        {"request_headers": f"Host: x\r\nAuthorization: Bearer {SECRET}\r\n"},
        {"request_headers": {"referer": f"https://x/?access_token={SECRET}"}},
        {"resource_id": {"token": SECRET}},
        {"status_code": {"token": SECRET}},
        {"ip_address": f"token={SECRET}"},
        {"writer_id": {"token": SECRET}},
        {"_invalid": {"token": SECRET}},
        {"exc_info": (ValueError, ValueError(f"postgres://bob:{SECRET}@db"), None)},
        {"exc_text": f"ValueError: token={SECRET}"},
        {"stack_info": f"  login(token='{SECRET}')"},
        {"tenant": f"\ud800 token={SECRET}"},
        {"request_body": {"a": "\ud800", "token": SECRET}},
        {"request_body": f"{'x' * 70_000} token={SECRET}"},
    ],
    ids=str,
)
def test_a_secret_does_not_leave_the_process(attributes: dict[str, Any]) -> None:
    line, _ = encoder_with(max_value_bytes=1_000_000).encode(record_of(attributes))

    assert (False, True) == (SECRET.encode() in line, b"***" in line)


def test_what_names_a_thing_is_not_searched_for_secrets() -> None:
    """An ARN of a secret is a name, and the audit of who read it needs it whole."""
    arn = "arn:aws:secretsmanager:eu-west-1:1:secret:prod/db"

    assert arn == row_of(resource_id=arn)["resource_id"]


# Anything

JSONABLE = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(st.characters()),
        st.text(st.characters(categories=["Cs", "Cc", "Lu"])),
        st.binary(),
        st.dates(),
        st.datetimes(),
        st.uuids(),
        st.decimals(),
        st.just(object()),
        st.just(5000).map(lambda digits: 10**digits),
        st.sampled_from(["password=x", "\x00" * 20_000, "é" * 70_000, '"' * 40_000]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(), st.integers(), st.none()), inner, max_size=4),
        st.tuples(inner, inner),
    ),
    max_leaves=10,
)
NAMES = st.one_of(
    st.sampled_from(sorted(COLUMNS)), st.text(), st.sampled_from(["_invalid", "\ud800"])
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, JSONABLE, max_size=8), st.sampled_from([256, 65_536]))
def test_any_extra_yields_one_line_of_json_within_the_limit(
    extra: dict[str, Any], max_value_bytes: int
) -> None:
    standard = set(vars(record_of())) | {"message", "asctime"}
    encoder = encoder_with(max_row_bytes=MAX_ROW_BYTES, max_value_bytes=max_value_bytes)

    line, month = encoder.encode(
        record_of({name: value for name, value in extra.items() if name not in standard})
    )

    row = json.loads(line)
    assert (False, True, True) == (
        b"\n" in line or b"\r" in line,
        len(line) <= MAX_ROW_BYTES,
        row["event_time"].startswith(month),
    )


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, JSONABLE, max_size=8))
def test_any_extra_yields_values_that_the_columns_hold(extra: dict[str, Any]) -> None:
    standard = set(vars(record_of())) | {"message", "asctime"}

    row = row_of({name: value for name, value in extra.items() if name not in standard})

    assert (True, True, True, True, set()) == (
        0 <= row.get("status_code", 0) <= 65_535,
        0 <= row.get("response_time_ms", 0) < 2**32,
        row["outcome"] in ("success", "failure", "unknown"),
        isinstance(row.get("metadata", {}), dict),
        {name for name, kind in COLUMNS.items() if kind is Kind.SERVER} & set(row),
    )


@given(JSONABLE, st.sampled_from(sorted(COLUMNS)))
def test_a_planted_secret_is_in_no_line(value: Any, name: str) -> None:
    planted = {name: {"a": [value, {"user_password": f"hun{SECRET}"}]}, "x": [("cookie", SECRET)]}
    planted = {key: value for key, value in planted.items() if key != "message"}

    line, _ = encoder_with().encode(record_of(planted))

    assert SECRET.encode() not in line


def test_encoding_a_hostile_record_takes_no_longer_than_a_moment() -> None:
    extra: dict[str, Any] = {f"extra_{number}": "password=" * 100 for number in range(2_000)}

    started = time.process_time()
    encoder_with(max_row_bytes=MAX_ROW_BYTES).encode(record_of(extra))

    assert time.process_time() - started < 5


def test_recursion_near_the_interpreters_limit_does_not_cost_the_row() -> None:
    body: list[Any] = []
    for _ in range(60):
        body = [body]

    def deep(frames: int) -> dict[str, Any]:
        return deep(frames - 1) if frames else row_of(request_body=body)

    assert "done" == deep(sys.getrecursionlimit() - 250)["message"]
