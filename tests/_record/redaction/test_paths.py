"""The paths of what was redacted."""

from __future__ import annotations

from typing import Any

import pytest

from audit_handler._record.redaction import REDACTED
from audit_handler._record.redaction.paths import redacted_paths


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("x", REDACTED, ["root"]),
        ("a=x", f"a={REDACTED}", ["root"]),
        ({"a": "x", "b": 1}, {"a": REDACTED, "b": 1}, ["root.a"]),
        (
            {"a": [{"b": "x"}, "y"]},
            {"a": [{"b": REDACTED}, REDACTED]},
            ["root.a[0].b", "root.a[1]"],
        ),
        (("x",), [REDACTED], ["root[0]"]),
        # A name that held a secret shows as it is stored.
        ({"p=x": "y"}, {f"p={REDACTED}": REDACTED}, [f"root.p={REDACTED}"]),
        # The application itself wrote the mark.
        ({"a": REDACTED}, {"a": REDACTED}, []),
        ({"a": 1}, {"a": 1}, []),
        # Another thread changed the value since.
        ({}, {"a": REDACTED}, []),
        ([], [REDACTED], []),
        ({"a": {"b": 1}}, {"a": REDACTED}, ["root.a"]),
    ],
)
def test_each_redacted_value_has_a_path(before: Any, after: Any, expected: list[str]) -> None:
    assert expected == list(redacted_paths(before, after, "root"))


def test_the_root_may_have_no_name() -> None:
    assert ["a.b"] == list(redacted_paths({"a": {"b": "x"}}, {"a": {"b": REDACTED}}, ""))
