"""A log record becomes one row: nothing costs the row, nothing is lost, nothing is invented."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_handler._record.redaction import REDACTED
from audit_handler.context import Placeholder
from audit_handler.schema import COLUMNS, Kind
from tests.support.once import examples
from tests.support.records import (
    MAX_ROW_BYTES,
    NOW,
    decoded,
    encoder_with,
    record_of,
    row_of,
)

SECRET = "hunter2"


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


@pytest.mark.parametrize("name", ["seq", "writer_id", "event_date", "ingested_at"])
def test_a_column_of_the_handler_or_of_clickhouse_cannot_be_set(name: str) -> None:
    row = row_of({name: "forged"})

    assert (False, {name: "forged"}) == (name in row, row["metadata"])


def test_a_day_whose_text_raises_is_metadata() -> None:
    day = type("Day", (str,), {"__str__": lambda _: 1 / 0})("x")

    assert {"event_date": "x"} == row_of(event_date=day)["metadata"]


@pytest.mark.parametrize("day", ["2020-02-03", date(2020, 2, 3)])
def test_the_day_of_the_event_is_not_kept_twice(day: Any) -> None:
    row = row_of(event_date=day, event_time="2020-02-03T04:05:06Z")

    assert (False, False) == ("event_date" in row, "metadata" in row)


@pytest.mark.parametrize("day", ["2020-02-04", date(2020, 2, 4), "03.02.2020", 20200203])
def test_another_day_than_that_of_the_event_is_kept_in_metadata(day: Any) -> None:
    row = row_of(event_date=day, event_time="2020-02-03T04:05:06Z")

    assert (False, [str(day)]) == ("event_date" in row, list(map(str, row["metadata"].values())))


@pytest.mark.parametrize(("name", "expected"), [("level", "INFO"), ("logger", "app")])
def test_what_the_record_knows_cannot_be_overridden(name: str, expected: str) -> None:
    row = row_of({name: "forged"})

    assert (expected, {name: "forged"}) == (row[name], row["metadata"])


def test_a_bound_message_does_not_replace_the_records() -> None:
    row = row_of(bound={"message": "forged"})

    assert ("done", {"message": "forged"}) == (row["message"], row["metadata"])


# Extras that are not columns


def test_the_records_own_attributes_are_no_extras() -> None:
    record = logging.getLogger("app").makeRecord("app", 20, "a.py", 1, "m", (), None, "f")
    record.created = NOW.timestamp()
    record.taskName = "Task-1"
    record.asctime = "now"
    for name in ("otelTraceID", "otelSpanID", "otelTraceSampled", "otelServiceName"):
        setattr(record, name, "0")

    assert "metadata" not in decoded(encoder_with(), record)


@pytest.mark.parametrize("said", [None, Placeholder("-")])
def test_a_bound_surrogate_is_escaped_where_the_extra_says_nothing(said: Any) -> None:
    """The encoder raised, and the row was dropped."""
    row = row_of(agent_name=said, bound={"agent_name": "a\ud800b"})

    assert "a\\ud800b" == row["agent_name"]


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


# Messages


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


@pytest.mark.parametrize(
    "column",
    [
        *("message", "resource_id", "resource_name", "user_agent", "session_id", "service_name"),
        *("agent_id", "agent_name", "endpoint", "request_id", "trace_id"),
    ],
)
def test_each_text_column_is_cleaned(column: str) -> None:
    attributes = {"msg" if column == "message" else column: f"x token={SECRET} y"}

    assert f"x token={REDACTED} y" == row_of(attributes)[column]


@pytest.mark.parametrize("name", sorted(n for n, kind in COLUMNS.items() if kind is Kind.TEXT))
@pytest.mark.parametrize(
    "text",
    [
        f"GET /a?x=1&api_key={SECRET}&y=2",
        f"Authorization: Bearer {SECRET}",
        f"user: ann\npassword: {SECRET}\n",
        f"<password>{SECRET}</password>",
        f"CREATE USER ann IDENTIFIED BY '{SECRET}'",
        f"mysql -h db -p{SECRET} shop",
        f"-u ann:{SECRET}",
        f"postgres://app:{SECRET}@db/shop",
        f"ghp_{SECRET:x<40}",
        f'{{"name":"password","value":"{SECRET}"}}',
        f"p%61ssword={SECRET}",
    ],
)
def test_a_secret_of_any_form_is_in_no_text_column(name: str, text: str) -> None:
    line, _ = encoder_with().encode(record_of({"msg" if name == "message" else name: text}))

    assert (False, True) == (SECRET.encode() in line, REDACTED.encode() in line)


def listed(**extras: Any) -> Any:
    row = decoded(encoder_with(lists_redacted=True), record_of(extras))
    return row.get("metadata", {}).get("_redacted")


def test_what_was_redacted_is_listed_by_its_path() -> None:
    assert [
        "metadata.zone.token",
        "new_value.users[1].password",
        "request_body",
        "user_agent",
    ] == listed(
        new_value={"users": [{"name": "ann"}, {"password": SECRET}]},
        request_body=f'{{"password":"{SECRET}"}}',
        user_agent=f"curl token={SECRET}",
        zone={"token": SECRET},
        old_value={"password": None, "token": ""},
    )


def test_an_empty_list_of_what_was_redacted_is_left_out() -> None:
    assert listed(new_value={"a": 1}, zone="eu") is None
    assert listed() is None


def test_the_list_names_nothing_that_said_redacted_before() -> None:
    assert listed(new_value={"password": REDACTED, "note": f"was {REDACTED}"}) is None


def test_a_list_that_the_application_gives_is_no_mark() -> None:
    row = decoded(encoder_with(lists_redacted=True), record_of({"_redacted": ["x"]}))

    assert "_redacted" not in row["metadata"]
    assert {"_redacted": ["x"]} == row["metadata"]["_invalid"]


def test_what_names_a_thing_is_not_searched_for_secrets() -> None:
    """An ARN of a secret is a name, and the audit of who read it needs it whole."""
    arn = "arn:aws:secretsmanager:eu-west-1:1:secret:prod/db"

    assert arn == row_of(resource_id=arn)["resource_id"]


@pytest.mark.parametrize("deleted", ["args", "process", "created", "name"])
def test_an_extra_of_a_record_with_fewer_attributes_is_stored(deleted: str) -> None:
    record = record_of()
    value = record.__dict__.pop(deleted)
    record.first, record.second = "a", "b"
    setattr(record, deleted, value)

    row = decoded(encoder_with(), record)

    assert ("a", "b") == (row["metadata"]["first"], row["metadata"]["second"])


def test_what_a_class_of_records_sets_before_the_rest_is_stored() -> None:
    class Record(logging.LogRecord):
        def __init__(self, *args: Any) -> None:
            self.tenant = "t-1"
            super().__init__(*args)
            del self.processName

    record = Record("app", logging.INFO, "app.py", 1, "done", (), None)
    record.created, record.shop = record_of().created, "s-1"

    row = decoded(encoder_with(), record)

    assert {"tenant": "t-1", "shop": "s-1"} == row["metadata"]


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


@settings(max_examples=examples(200), deadline=None)
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


@settings(max_examples=examples(200), deadline=None)
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


@settings(max_examples=examples(100), deadline=None)
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


@pytest.mark.parametrize(
    ("extras", "outcome"),
    [
        ({"status_code": 1}, "failure"),
        ({"status_code": 5}, "failure"),
        ({"status_code": 16}, "failure"),
        ({"status_code": 17}, "unknown"),
        ({"status_code": 0}, "unknown"),
        ({"status_code": 204}, "success"),
        ({"error_message": "declined"}, "failure"),
        ({"error_message": ""}, "unknown"),
        ({"outcome": "DENY", "status_code": 200}, "unknown"),
        ({"outcome": False, "status_code": 200}, "unknown"),
        ({"outcome": "DENY", "status_code": 403}, "failure"),
    ],
)
def test_the_outcome_follows_http_grpc_and_the_error(extras: dict[str, Any], outcome: str) -> None:
    assert outcome == row_of(extras)["outcome"]


def test_a_level_is_stored_without_the_colours_of_a_formatter() -> None:
    assert "INFO" == row_of(levelname="\x1b[1;32mINFO   \x1b[0m")["level"]


def test_the_escape_codes_of_a_logger_name_are_removed() -> None:
    assert "app.orders" == row_of(name="\x1b[36mapp.orders\x1b[0m")["logger"]


def test_a_record_may_name_keys_that_stay() -> None:
    extras = {"request_body": {"device_code": "a1b2c3", "password": "x1"}, "device_code": "d4e5"}

    row = decoded(encoder_with(), record_of({**extras, "_redact_except": ("device_code",)}))

    assert {"device_code": "a1b2c3", "password": REDACTED} == row["request_body"]
    assert "d4e5" == row["device_code"] == row["metadata"]["device_code"]
    assert REDACTED == decoded(encoder_with(), record_of(extras))["device_code"]
