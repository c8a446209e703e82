"""What changed between two values."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_handler import changes
from audit_handler._record.redaction import REDACTED, Redactor


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, ({"b": 2}, {"b": 3})),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, ({"a": {"c": 2}}, {"a": {"c": 3}})),
        ({"a": 1}, {"a": 1, "b": 2}, (None, {"b": 2})),
        ({"a": 1, "b": 2}, {"a": 1}, ({"b": 2}, None)),
        ({"a": [1, 2]}, {"a": [0, 1, 2]}, ({"a": [1, 2]}, {"a": [0, 1, 2]})),
        ({"a": 1}, {"a": True}, ({"a": 1}, {"a": True})),
        ({"a": {"b": 1}}, {"a": "text"}, ({"a": {"b": 1}}, {"a": "text"})),
        ({"a": None}, {"a": 0}, ({"a": None}, {"a": 0})),
        (None, {"a": 1}, (None, {"a": 1})),
        ({"a": 1}, None, ({"a": 1}, None)),
        ("draft", "sent", ("draft", "sent")),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1}]}, (None, None)),
    ],
)
def test_only_what_differs_is_kept(old: Any, new: Any, expected: tuple[Any, Any]) -> None:
    found = changes(old, new)

    assert expected == (found.get("old_value"), found.get("new_value"))


@dataclass(frozen=True)
class Order:
    number: int
    customer: dict[str, str]
    lines: tuple[str, ...]


def test_objects_are_compared_by_their_fields() -> None:
    before = Order(17, {"name": "Ada", "city": "London"}, ("tea",))
    after = replace(before, customer={"name": "Ada", "city": "Ockham"})

    assert {
        "old_value": {"customer": {"city": "London"}},
        "new_value": {"customer": {"city": "Ockham"}},
    } == changes(before, after)


def test_what_is_kept_does_not_follow_the_original() -> None:
    after = {"lines": ["tea"]}
    found = changes({}, after)
    after["lines"].append("milk")

    assert {"lines": ["tea"]} == found["new_value"]


def test_both_values_are_kept_whole_on_request() -> None:
    old, new = {"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4, "d": 3}, "e": 5}

    assert {"old_value": old, "new_value": new, "changed": ["b.c", "e"]} == changes(
        old, new, keep_both=True
    )
    assert {} == changes(old, old, keep_both=True)
    assert {"old_value": 1, "new_value": 2} == changes(1, 2, keep_both=True)


def test_a_changed_secret_shows_that_it_changed_and_nothing_more() -> None:
    found = changes({"password": "old-s3cr3t", "a": 1}, {"password": "new-s3cr3t", "a": 1})

    assert {"old_value": {"password": REDACTED}, "new_value": {"password": REDACTED}} == found


class Model:
    """As an ORM makes them: no text of their own, and some private state."""

    def __init__(self, **columns: Any) -> None:
        self._state = object()
        self.__dict__.update(columns)


def test_models_are_compared_by_their_public_attributes() -> None:
    before, after = Model(id=1, status="open"), Model(id=1, status="paid")

    expected = {"old_value": {"status": "open"}, "new_value": {"status": "paid"}}
    assert expected == changes(before, after)
    assert expected == changes({"id": 1, "status": "open"}, after)


def nested(depth: int, leaf: str) -> Any:
    return {"a": nested(depth - 1, leaf)} if depth else leaf


@pytest.mark.parametrize(
    ("old", "new", "mark"),
    [
        (nested(70, "a"), nested(70, "b"), "<cut: deeper than 64>"),
        ({i: 0 for i in range(60_000)}, {i: i // 59_999 for i in range(60_000)}, "<cut: too many"),
    ],
    ids=["deep", "large"],
)
def test_what_cannot_be_compared_is_never_said_to_be_the_same(
    old: Any, new: Any, mark: str
) -> None:
    found = changes(old, new)

    assert mark in json.dumps(found["old_value"])
    assert mark in json.dumps(found["new_value"])


@pytest.mark.parametrize("label", ["name", "key", "Field"])
def test_a_secret_keeps_the_label_by_which_it_is_known(label: str) -> None:
    """Without it, a key of the handler's own would not be seen either."""
    old, new = ({label: "X-Iban", "value": v, "note": "same"} for v in ("s3cr3t-1", "s3cr3t-2"))
    found = changes({"header": old}, {"header": new})

    assert {label: "X-Iban", "value": "s3cr3t-2"} == found["new_value"]["header"]
    assert "s3cr3t" not in json.dumps(Redactor(["iban"]).clean(found))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)


def applied(old: Any, gone: Any, added: Any) -> Any:
    """Take away from *old* what is *gone*, and put in what was *added*."""
    if not (isinstance(old, dict) and isinstance(gone, dict) and isinstance(added, dict)):
        return added
    result = {name: value for name, value in old.items() if name not in gone or name in added}
    for name, value in added.items():
        result[name] = applied(old[name], gone[name], value) if name in gone else value
    return result


OBJECTS = st.dictionaries(st.sampled_from("abc"), PLAIN)


@given(OBJECTS, OBJECTS)
def test_the_old_value_with_its_changes_is_the_new_one(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    found = changes(old, new)
    result = applied(old, found.get("old_value", {}), found.get("new_value", {}))

    assert json.dumps(new, sort_keys=True) == json.dumps(result, sort_keys=True)
