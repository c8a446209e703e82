"""Long values are cut until the row fits, and the cut is marked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_handler._record.redaction import Redactor
from audit_handler.schema import COLUMNS, Kind
from tests.support.records import (
    MAX_ROW_BYTES,
    encoder_with,
    record_of,
)


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
    # "AQVN" repeated is the form of a vendor's token.
    encoder = encoder_with(max_value_bytes=limit, redactor=Redactor(use_default_keys=False))

    line, _ = encoder.encode(record_of(agent_name=value))

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


@pytest.mark.once
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
