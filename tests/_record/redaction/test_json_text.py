"""JSON text is read without a loss, and written again as it was."""

from __future__ import annotations

from typing import Any

import pytest

from audit_handler._record.redaction import REDACTED, Redactor
from audit_handler._record.redaction.json_text import (
    Literal,
    Members,
    parsed,
    places_in,
    rewritten,
    with_objects,
    without_objects,
    written,
)


@pytest.mark.parametrize(
    "text",
    [
        *("1.10", "-0", "1E400", "12345678901234567890", "NaN", "-Infinity", "true", "null", '""'),
        *('{"a":1,"a":2}', '{"":{}}', "[]", '[[],{},"\u00e9",1.0]', '"\\"\\\\\\n"', '"\u2028"'),
    ],
)
def test_a_text_is_written_as_it_was_read(text: str) -> None:
    assert text == written(parsed(text), comma=",", colon=":")


def test_the_separators_can_have_spaces() -> None:
    assert '{"a": [1, 2], "b": 3}' == written(parsed('{"a":[1,2],"b":3}'), comma=", ", colon=": ")


def test_an_object_keeps_a_name_that_comes_twice() -> None:
    expected: Any = Members([("a", "1"), ("b", "x"), ("a", "2")])

    assert expected == parsed('{"a": 1, "b": "x", "a": 2}')


def test_a_number_is_no_text() -> None:
    assert [Literal, str] == [type(value) for value in parsed('[1, "1"]')]


@pytest.mark.parametrize("text", ["", "{", "a", '{"a":1} x', "[1,]", "'a'"])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        parsed(text)


def test_a_text_that_is_too_deep_is_refused() -> None:
    with pytest.raises(RecursionError):
        parsed("[" * 100_000)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("no JSON [here] {at all}", []),
        ('got {"a": 1} and [["b"]] [1]', ['{"a": 1}', '[["b"]]']),
        ('{"a": 1}\n{"b": {"c": "d"}}\n', ['{"a": 1}', '{"b": {"c": "d"}}']),
        ('{"a": [{"b": 1}, {"c": [{"d": 2}], "e": {"f"', ['{"b": 1}', '[{"d": 2}]']),
        ('{{ name }} {"a": "{\\"b\\": 1}"}', ['{"a": "{\\"b\\": 1}"}']),
        ('["a", {"b": 1]} {"c": 2}', ['{"c": 2}']),
        ("[" * 2_000 + '{"a": 1}', []),
    ],
)
def test_the_json_in_a_text_is_found(text: str, places: list[str]) -> None:
    assert places == [text[start:end] for start, end in places_in(text)]


@pytest.mark.parametrize("unit", ['{"a":[', "{{", '["', '[{"a":1},', '{"a":1} ', '["a"'])
def test_a_text_is_read_a_few_times_however_much_of_it_is_no_json(unit: str) -> None:
    """Each failure counts the lines of the whole text, and each opening bracket may be one."""
    text = unit * 20_000

    assert all(start < end <= len(text) for start, end in places_in(text))


@pytest.mark.parametrize("text", ["{", "password", "{} x", "[" * 100_000, ""])
def test_what_is_not_json_is_not_rewritten(text: str) -> None:
    assert rewritten(text, lambda value: value) is None


def test_a_text_that_nothing_changes_is_not_written_again() -> None:
    assert '{"a":  1}' == rewritten('{"a":  1}', lambda value: value)
    assert '{"b":1}' == rewritten('{"a":1}', lambda _: parsed('{"b": 1}'))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("no JSON {at all}", 0),
        ('a {"b": 1} c [{"d": 2}] e ["f"] {"g": {"h": []}}', 3),
        ('{"a": 1}\n{"b":  2}\n{"c"', 2),
    ],
)
def test_what_was_put_aside_is_put_back_as_it_was(text: str, count: int) -> None:
    rest, objects = without_objects(text, lambda value: value)

    assert (text, count) == (with_objects(rest, objects), len(objects))


def test_the_rules_of_texts_do_not_look_into_an_object_but_at_its_name() -> None:
    redact = Redactor().clean_text
    credentials = '{"credentials": {"id": "c-1", "value": "%s"}}'

    assert f"got {credentials % REDACTED} ok" == redact(f"got {credentials % 'a1b2c3'} ok")
    assert f"password={REDACTED}" == redact('password={"old": "a1b2c3"}')
    assert f"a\0b password={REDACTED}" == redact('a\0b password={"old": "a1b2c3"}')
    assert "a {\0000\0} {\0007\0}" == redact("a {\0000\0} {\0007\0}")


@pytest.mark.parametrize("shown", [Members(), Members([("a", ["1"])]), ["x"], "x"])
def test_a_value_with_other_parts_is_written_anew(shown: Any) -> None:
    assert written(shown, comma=",", colon=":") == rewritten('{"a": [1, 2]}', lambda _: shown)
