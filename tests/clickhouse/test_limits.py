"""Values that a column of the user would store as other ones are found before the insert."""

from __future__ import annotations

import json
import re

import pytest

from audit_handler.clickhouse._limits import limit_of
from audit_handler.errors import DataError
from audit_handler.schema import statements
from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import Connect, count, rows, target_of


@pytest.mark.parametrize(
    ("column_type", "value"),
    [
        ("UInt8", 300),
        ("UInt16", 70_000),
        ("Int8", -129),
        ("Nullable(UInt8)", "300"),
        ("LowCardinality(UInt8)", 256),
        ("Array(UInt8)", [1, 300]),
        ("Map(String, UInt8)", {"k": 300}),
        ("UInt8", "+300"),
        ("UInt8", "0300"),
        ("UInt64", str(2**64)),
        ("UInt64", "1" + "0" * 5_000),
        ("Date", "2200-01-01"),
        ("DateTime('UTC')", "2107-01-01 00:00:00"),
        ("Date", "22000101"),
        ("Date", 1_764_000_000),
        ("Date", 65_536),
        ("DateTime", 1_764_000_000_000),
        ("DateTime", "4294967296"),
        ("DateTime", -1),
        ("DateTime", "01/01/2200"),
        ("DateTime64(3)", 1_764_000_000_000),
        ("DateTime64(3)", 1.764e12),
        ("Date32", 1_764_000_000),
        ("Time", 5_000_000),
        ("Time64(3)", 3_600_000_000),
        ("Enum8('300' = 1)", 257),
        ("IntervalDay", 2**63),
        ("SimpleAggregateFunction(max, UInt8)", 300),
        ("Map(UInt8, String)", {"300": "x"}),
        ("Map(Date, String)", {"2200-01-01": "x"}),
        ("Tuple(at DateTime, code UInt8)", {"at": "2026-01-01 00:00:00", "code": 300}),
        ("Tuple(code UInt8, at DateTime)", {"at": "2107-01-01 00:00:00", "code": 3}),
        ("Tuple(`a b` Array(Nullable(UInt8)), c String)", {"a b": [None, 300]}),
        ("Tuple(`Enum8('a,) = 1` UInt8)", {"Enum8('a,) = 1": 300}),
        ("Array(Tuple(UInt32, UInt8))", [[300, 1], [1, 300]]),
        ("Nested(k UInt8, n UInt32)", [{"k": 300}]),
    ],
)
def test_the_first_row_with_a_value_that_would_be_another_one_is_named(
    column_type: str, value: object
) -> None:
    limit = limit_of("x", column_type)
    assert limit is not None
    lines = "".join(json.dumps({"x": each}, separators=(",", ":")) + "\n" for each in (1, value))
    with pytest.raises(DataError) as caught:
        limit.check(lines.encode())

    assert (2, "x") == (caught.value.row, caught.value.key)


@pytest.mark.parametrize(
    ("column_type", "value"),
    [
        ("UInt8", 255),
        ("UInt8", None),
        ("UInt8", "many"),
        ("Int8", -128),
        ("Array(UInt8)", [255]),
        ("UInt64", 2**64 - 1),
        ("Date", "2148-12-31"),
        ("Date", 20_000),
        ("DateTime", 1_764_000_000.5),
        ("DateTime", "2026-01-01T10:00:00+0530"),
        ("DateTime", "Mon, 01 Jan 2026 00:00:00 GMT"),
        ("DateTime64(3)", 1_764_000_000.123),
        ("DateTime64(3)", "1764000000000"),
        ("DateTime64(3)", "9999-12-31 00:00:00"),
        ("Time64(3)", -3_599_999_999),
        ("Enum8('300' = 1)", "300"),
        ("Map(UInt8, String)", {"3": "4711"}),
        ("Tuple(kind UInt8, bytes UInt64)", {"kind": 1, "bytes": 5_000}),
        ("Tuple(code UInt8, note String)", {"code": 1, "note": "4711"}),
        ("Tuple(code UInt8, note String)", "text"),
        ("Array(Tuple(UInt8, UInt32))", [[1, 4_000]]),
        ("Nested(k UInt8, n UInt32)", [{"k": 1, "n": 4_000}]),
        ("Array(UInt8)", "text"),
        ("Map(UInt8, UInt8)", None),
    ],
)
def test_values_within_the_limits_pass(column_type: str, value: object) -> None:
    limit = limit_of("x", column_type)
    assert limit is not None
    limit.check(json.dumps({"x": value, "y": 300}, separators=(",", ":")).encode() + b"\n")


@pytest.mark.parametrize(
    ("column_type", "value"), [("UInt8", "187"), ("UInt8", '"187"'), ("Date", '"2026-11-27"')]
)
def test_a_row_with_a_value_within_the_limits_is_not_parsed(column_type: str, value: str) -> None:
    """To parse every row took five times as long as the insert."""
    limit = limit_of("x", column_type)
    assert limit is not None
    limit.check(f'{{"x":{value},"y":this is no JSON\n'.encode())


@pytest.mark.parametrize("digits", [3, 5_000])
def test_a_number_of_any_length_is_read(digits: int) -> None:
    limit = limit_of("x", "UInt8")
    assert limit is not None
    with pytest.raises(DataError):
        limit.check(b'{"x":' + b"9" * digits + b"}\n")


def test_a_key_inside_of_another_value_is_none_of_the_column() -> None:
    limit = limit_of("x", "UInt8")
    assert limit is not None
    limit.check(b'{"tags":{"x":300},"x":7}\n')


@pytest.mark.parametrize(
    "column_type",
    [
        *("String", "Float64", "UUID", "IPv4", "Bool", "Decimal(5, 2)", "Enum('a' = 1)"),
        *("Array(String)", "Map(String, String)", "Tuple(a String, b UUID)", "JSON(a UInt8)"),
        *("Variant(UInt8, String)", "AggregateFunction(sum, UInt8)", "", "("),
    ],
)
def test_other_types_have_no_limit(column_type: str) -> None:
    assert limit_of("x", column_type) is None


@pytest.mark.once
def test_what_passes_is_stored_as_it_is(
    faults: LoopbackClickHouse, connect: Connect, database: str
) -> None:
    """The engine itself shows that these values are good, which one bound for a type refused."""
    values = {
        "Tuple(kind UInt8, bytes UInt64)": ({"kind": 1, "bytes": 5_000}, "(1,5000)"),
        "Tuple(code UInt8, note String)": ({"code": 1, "note": "4711"}, "(1,'4711')"),
        "Variant(UInt8, String)": ("4711", "4711"),
        "Array(Tuple(UInt8, UInt32))": ([[1, 4_000]], "[(1,4000)]"),
        "Date": (20_000, "2024-10-04"),
        "DateTime('UTC')": (1_764_000_000, "2025-11-24 16:00:00"),
        "DateTime64(3, 'UTC')": (1_764_000_000.123, "2025-11-24 16:00:00.123"),
    }
    clickhouse = connect(faults.dsn(database))
    clickhouse.create_table()
    names = [f"mine_{number}" for number in range(len(values))]
    for name, column_type in zip(names, values, strict=True):
        faults.command(f"ALTER TABLE {database}.audit_logs ADD COLUMN {name} {column_type}")
    sent = {name: value for name, (value, _) in zip(names, values.values(), strict=True)}
    clickhouse.insert(rows(1, **sent), token="t")

    shown = ", ".join(f"toString({name}) AS {name}" for name in names)
    (row,) = faults.query(f"SELECT {shown} FROM {database}.audit_logs")
    assert [expected for _, expected in values.values()] == [row[name] for name in names]


@pytest.mark.once
@pytest.mark.parametrize(
    ("column", "column_type", "value"),
    [
        ("status_code", "UInt8", 404),
        ("status_code", "Int8", 200),
        ("response_time_ms", "UInt16", 70_000),
        ("agent_id", "UInt8", "300"),
        ("session_id", "UInt32", "5000000001"),
        ("seq", "UInt8", 300),
    ],
)
def test_a_standard_column_of_a_narrower_type_stores_no_other_value(
    faults: LoopbackClickHouse,
    connect: Connect,
    database: str,
    column: str,
    column_type: str,
    value: object,
) -> None:
    clickhouse = connect(faults.dsn(database), create_table=False)
    create = statements(target_of(faults.dsn(database), database))
    create[1] = re.sub(
        rf"^    {column} .+,$", f"    {column} {column_type},", create[1], flags=re.M
    )
    create[1] = re.sub(rf"^    INDEX ix_{column} .+\n", "", create[1], flags=re.M)
    for statement in create:
        faults.command(statement)
    clickhouse.insert(rows(1, **{column: 1 if column == "seq" else "1"}), token="t")
    with pytest.raises(DataError, match=f"limits of column {column}") as caught:
        clickhouse.insert(rows(2, **{column: value}), token="u")

    assert (1, column, ()) == (caught.value.row, caught.value.key, caught.value.added)
    assert 1 == count(faults, database)
