"""Secrets are redacted wherever they stand in an object; everything else stays."""

from __future__ import annotations

import json
from collections import ChainMap, OrderedDict, deque, namedtuple
from collections.abc import Callable
from pathlib import PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_handler._record.redaction import REDACTED, Redactor
from audit_handler._record.secret_names import DEFAULT_KEYS

redactor = Redactor()
clean = redactor.clean
clean_text = redactor.clean_text

SECRET = "hunter2"


def _oracle(value: Any) -> Any:
    """Redact in the simplest way that can be: by the whole list of names, one key at a time."""
    if isinstance(value, dict):
        return {
            key: REDACTED
            if any(
                part.replace("_", "").replace("-", "") in key.lower().replace("_", "")
                for part in DEFAULT_KEYS
            )
            else _oracle(item)
            for key, item in value.items()
        }
    return [_oracle(item) for item in value] if isinstance(value, list) else value


KEYS = st.one_of(
    st.sampled_from([*DEFAULT_KEYS, "id", "user", "Pass_Word", "myTokens", "a_p_i_k_e_y", "tok"]),
    st.text("abcdeknopt_", max_size=8),
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text("abc é\"'\\,&;", max_size=8), st.floats(0, 1)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        # Pairs in lists are taken for headers, and have tests of their own.
        st.lists(inner, max_size=4).map(lambda items: [*items, 0] if len(items) == 2 else items),
        st.dictionaries(KEYS, inner, max_size=4),
    ),
    max_leaves=20,
)


@given(TREES)
def test_a_tree_is_redacted_as_the_simplest_code_does_it(tree: Any) -> None:
    assert _oracle(tree) == clean(tree)


@given(TREES)
def test_json_text_is_redacted_as_the_tree_it_holds(tree: Any) -> None:
    text = json.dumps({"password": SECRET, "tree": tree})

    assert {"password": REDACTED, "tree": _oracle(tree)} == json.loads(clean_text(text))


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


def test_a_secret_that_json_overwrites_with_a_later_key_is_gone() -> None:
    assert '{"a":1}' == clean_text(f'{{"a": {{"password": "{SECRET}"}}, "a": 1}}')


def test_numbers_of_any_size_survive_in_json_text() -> None:
    text = f'{{"token":"x","big":{10**30},"small":1.5}}'

    assert {"token": REDACTED, "big": 10**30, "small": 1.5} == json.loads(clean_text(text))


WRAPPERS: list[Callable[[str], Any]] = [
    lambda secret: {"password": secret},
    lambda secret: {"a": [{"Api-Key": [secret, {"b": secret}]}]},
    lambda secret: [("authorization", secret)],
    lambda secret: [[b"cookie", secret.encode()]],
    lambda secret: json.dumps({"a": [{"secret": secret}]}),
    lambda secret: {"body": json.dumps({"secret": secret})},
    lambda secret: json.dumps({"secret": secret, "b": 1})[:-3],
    lambda secret: urlencode({"a": 1, "token": secret, "b": 2}),
    lambda secret: f"/x?a=1&{urlencode({'user[password]': secret})}&b=2",
    lambda secret: quote(json.dumps({"secret": secret})),
    lambda secret: repr({"secret": secret}),
    lambda secret: repr([("secret", secret)]),
    lambda secret: json.dumps(json.dumps({"secret": secret})),
]


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20).map(
        lambda text: f"hun{text}ter2"
    ),
    st.sampled_from(WRAPPERS),
)
def test_no_secret_of_any_characters_gets_through(secret: str, wrap: Callable[[str], Any]) -> None:
    cleaned = json.dumps(clean(wrap(secret)))

    assert [] == [piece for piece in ("hun", "ter2") if piece in cleaned]
