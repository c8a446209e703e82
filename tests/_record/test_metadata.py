"""Extras that are no columns, given and bound metadata, and marks become one object."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.records import (
    row_of,
)


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


@pytest.mark.parametrize("mark", ["_invalid", "_truncated"])
def test_an_extra_named_like_a_mark_is_kept_apart_from_it(mark: str) -> None:
    row = row_of({mark: "mine", "status_code": -1, "agent_name": "\ud800"})

    assert {mark: "mine", "status_code": -1, "agent_name": "\\ud800"} == row["metadata"]["_invalid"]
