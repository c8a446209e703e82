"""The cheap look at JSON finds every text that holds a part of a secret name, and few others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_handler._record.plain import encode
from audit_handler._record.redaction import Redactor
from audit_handler._record.suspects import Suspects

PARTS = ("apikey", "password", "ssn")
FURTHER_KEYS = ("iban", "straße", "ikey", "__")

TEXTS = st.text('abiKk\u017f\u0131IsSn_-. é"\\:=/@<>\n', max_size=12)
KEYS = st.sampled_from(
    ["password", "api_key", "API-Key", "\u0131ban", "\u0130BAN", "\u212aey", "STRASSE", "x"]
)
VALUES = st.recursive(
    TEXTS | st.builds("{}={}".format, KEYS, TEXTS) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXTS, inner, max_size=3),
    max_leaves=6,
)


def suspects(*values: Any) -> set[int]:
    return Suspects(PARTS).indexes([encode(value) for value in values])


@pytest.mark.parametrize(
    "value",
    [
        {"password": 1},
        {"userPassWord": 1},
        {"Api-Key": 1},
        {"api. key": 1},
        "ssn=1",
        ["x", [{"SSN": 1}]],
        "p\u017fn \u017f\u017fn",
        "\u212aey",
        "https://bob:hunter2@db/",
    ],
    ids=str,
)
def test_a_text_that_may_hold_a_secret_is_a_suspect(value: Any) -> None:
    assert {1} == suspects("x", value, {"id": 5})


@pytest.mark.parametrize(
    "value",
    ["", "pass: word", {"pass": "word"}, "bob@example.org: a://b", "https://h:80/@x", "é"],
    ids=str,
)
def test_a_text_without_a_part_of_a_name_is_no_suspect(value: Any) -> None:
    assert set() == suspects(value)


@given(st.lists(VALUES, min_size=1, max_size=3), st.sampled_from([(), *zip(FURTHER_KEYS)]))
def test_a_look_changes_nothing_but_the_time_it_takes(
    values: list[Any], keys: tuple[str, ...]
) -> None:
    redactor = Redactor(keys)

    walked = [json.loads(encode(redactor.clean(value))) for value in values]

    assert walked == [json.loads(line) for line in redactor.encode(values)]
