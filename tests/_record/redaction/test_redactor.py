"""Secrets are redacted wherever they stand in an object; everything else stays."""

from __future__ import annotations

import json
from collections import ChainMap, OrderedDict, deque, namedtuple
from pathlib import PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_handler._record.plain import Unencodable, encode
from audit_handler._record.redaction import REDACTED, Redactor

redactor = Redactor()
clean = redactor.clean
clean_text = redactor.clean_text

SECRET = "hunter2"


SECRET_KEYS = ["password", "userPassword2", "API-Key", "secrets_new", "X-Title_Secret"]
OTHER_KEYS = ["id", "user", "token_id", "passenger", "tok"]


def _oracle(value: Any) -> Any:
    """Redact in the simplest way that can be: one key at a time, all that is not empty."""
    if isinstance(value, dict):
        return {
            key: _hidden(item) if key in SECRET_KEYS else _oracle(item)
            for key, item in value.items()
        }
    return [_oracle(item) for item in value] if isinstance(value, list) else value


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _oracle(item) if key in ("id", "user", "token_id") else _hidden(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    return value if value is None or isinstance(value, bool) else REDACTED


LEAVES = st.none() | st.booleans() | st.text("ghj", min_size=3, max_size=8).map("{}7".format)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        # Pairs and triples in lists are taken for headers, and have tests of their own.
        st.lists(inner, max_size=4).map(lambda items: [*items, *[None] * 4] if items else items),
        st.dictionaries(st.sampled_from(SECRET_KEYS + OTHER_KEYS), inner, max_size=4),
    ),
    max_leaves=20,
)
# The same trees in each run; the first pays for patterns.
steady = settings(max_examples=300, derandomize=True, deadline=None)


@given(TREES)
@steady
def test_a_tree_is_redacted_as_the_simplest_code_does_it(tree: Any) -> None:
    assert _oracle(tree) == clean(tree)


@given(TREES)
@steady
def test_json_text_is_redacted_as_the_tree_it_holds(tree: Any) -> None:
    text = json.dumps({"password": SECRET, "tree": tree})

    assert json.dumps({"password": REDACTED, "tree": _oracle(tree)}) == clean_text(text)


@given(TREES)
@steady
def test_a_tree_is_encoded_as_it_is_cleaned(tree: Any) -> None:
    assert encode(clean(tree)) == redactor.encode(tree)


@pytest.mark.parametrize(
    "hidden",
    [
        {"a": {"b": [{"password": SECRET}]}},
        {"password": {"a": [SECRET]}},
        [("authorization", SECRET)],
        [(b"authorization", SECRET.encode())],
        [["authorization", SECRET]],
        [[f"password={SECRET} is wrong", None]],
        {"headers": [{"name": "Authorization", "value": SECRET}]},
        {"headers": [{"value": SECRET, "key": "x-api-key"}]},
        {"Headers": [{"Name": "Authorization", "Values": [SECRET]}]},
        {"name": "password", "value": "x", "Value": SECRET},
        {"Name": "password", "name": "login", "value": SECRET},
        [{"op": "replace", "path": "/password", "value": SECRET}],
        {"changes": [{"field": "password", "old": SECRET, "new": f"{SECRET}2"}]},
        {"detail": [{"loc": ["body", "password"], "msg": "too short", "input": SECRET}]},
        {"body": json.dumps({"password": SECRET})},
        {"body": json.dumps({"password": SECRET}).encode()},
        {"body": bytearray(b"password=hunter2")},
        {"body": json.dumps({"inner": json.dumps({"inner": json.dumps({"token": SECRET})})})},
        {"url": f"https://example.org/?token={SECRET}"},
        [f"https://bob:{SECRET}@example.org/"],
        deque([{"password": SECRET}]),
        {"password": SECRET}.items(),
        {"a": {"password": SECRET}}.values(),
        SimpleNamespace(password=SECRET),
        ChainMap({"password": SECRET}),
        MappingProxyType({"password": SECRET}),
        OrderedDict(password=SECRET),
        namedtuple("Login", "password")(SECRET),
        ValueError(f"no login with password={SECRET}"),
        PurePosixPath(f"/reset/token={SECRET}"),
    ],
    ids=lambda hidden: type(hidden).__name__,
)
def test_a_secret_in_an_object_is_found(hidden: Any) -> None:
    assert SECRET not in json.dumps(clean(hidden))


@pytest.mark.parametrize("value", [{"password": SECRET}, [{"a": "token=x1"}], "token=x1"])
def test_what_was_given_is_not_changed(value: Any) -> None:
    before = repr(value)

    clean(value)
    redactor.encode(value)

    assert before == repr(value)


def test_each_value_that_was_redacted_is_noted_with_what_is_left_of_it() -> None:
    noted: list[tuple[str, Any, Any]] = []
    values = {"old": {"a": 1}, "new": {"token": SECRET}, "why": "the password expired"}

    # The second time, "token" is known.
    for _ in range(2):
        redactor.encode_members(values, lambda *given: noted.append(given))

    assert 2 == noted.count(("new", {"token": SECRET}, {"token": REDACTED}))
    assert {name for name, before, after in noted if before != after} == {"new"}


@pytest.mark.parametrize(
    "value",
    [
        {"token": SECRET},
        {"token": f"{SECRET}\\"},
        {"token": f"\\{SECRET}", "a": '"'},
        {"token": f'{SECRET}"', "b": f"\n{SECRET}"},
        {"token": f"{SECRET}\n"},
        {"token": "none", "a": {"token": SECRET}},
        {"token": "token", "a": {"token": [SECRET]}},
        {"token": REDACTED, "a": [{"token": f"{REDACTED}{SECRET}"}]},
        {"token": f"***{SECRET}"},
        {"token": '{"a":1}', "b": {"token": SECRET}},
        {"token": "[1]", "b": {"token": SECRET}},
        {"token": 5, "b": {"token": SECRET}},
        {'x"token': SECRET, "token": SECRET},
        ["token", ":", SECRET, {"token": SECRET}],
        [["token", SECRET], {"token": SECRET}],
        {"name": "token", "value": SECRET, "token": SECRET},
        {"token": SECRET, "tokens": {"token": SECRET, "a": SECRET}},
        {"token": SECRET, "a": f"password={SECRET}"},
        {"token": SECRET, "\u00e4": SECRET, "mot_de_passe": SECRET},
        {"token": SECRET * 1000, "a": {"token": SECRET}},
    ],
)
def test_what_is_under_a_name_that_is_known_is_redacted_as_what_is_under_a_new_one(
    value: Any,
) -> None:
    new = Redactor()

    first = new.encode(value)

    assert encode(new.clean(value)) == first
    assert first == new.encode(value)
    assert first == orjson.dumps(orjson.loads(new.encode_members({"a": value}))["a"])


def test_an_object_with_more_secret_names_than_are_remembered_is_redacted() -> None:
    new = Redactor()
    value = {f"{word}_token": f"{SECRET}{word}" for word in "abcdefghijklmnopqrstuvwxyz"}

    for _ in range(3):
        assert encode(dict.fromkeys(value, REDACTED)) == new.encode(value)


def test_texts_are_cleaned_by_column_and_are_the_same_without_a_secret() -> None:
    texts = {"message": "paid", "user_agent": "Mozilla"}

    assert texts is redactor.clean_texts(texts)
    assert {"message": "paid", "user_agent": f"token={REDACTED}"} == redactor.clean_texts(
        {"message": "paid", "user_agent": f"token={SECRET}"}
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"password": SECRET}, f'{{"password":"{REDACTED}"}}'),
        (f"token={SECRET}", f"token={REDACTED}"),
        (5, "5"),
        (None, "null"),
        ("\ud800", "\\ud800"),
    ],
)
def test_a_value_has_a_redacted_text(value: Any, text: str) -> None:
    assert text == redactor.text_of(value)


@pytest.mark.parametrize(
    "value",
    [
        f"\ud800 token={SECRET}",
        {"a": f"\ud800 token={SECRET}"},
        [f"token={SECRET} \udfff"],
        {f"\ud800 token={SECRET}": 1},
        {"b": {"\ud800": {"password": SECRET}}},
    ],
)
def test_a_secret_beside_a_lone_surrogate_is_found(value: Any) -> None:
    assert SECRET not in repr(clean(value))


def test_a_text_of_lone_surrogates_is_refused_and_one_in_an_object_is_replaced() -> None:
    with pytest.raises(Unencodable):
        redactor.encode("\ud800")

    assert b'{"a":"\\\\ud800"}' == redactor.encode({"a": "\ud800"})


def test_near_the_end_of_the_stack_a_value_is_replaced_and_nothing_is_raised() -> None:
    def deeper(depth: int) -> Any:
        try:
            return deeper(depth + 1)
        except RecursionError:
            return clean({"a": [{"password": SECRET}]})

    assert SECRET not in json.dumps(deeper(0))
