"""Values that a column of the user would store as other ones are found before the insert."""

from __future__ import annotations

import json

import pytest

from audit_handler.clickhouse._limits import limit_of
from audit_handler.errors import DataError


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


@pytest.mark.parametrize("column_type", ["String", "DateTime64(3)", "Date32", "Float64", "UUID"])
def test_other_types_have_no_limit(column_type: str) -> None:
    assert limit_of("x", column_type) is None
