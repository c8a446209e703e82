"""What counts as a leaked secret, and as an innocent that is kept."""

from __future__ import annotations

import json

import pytest

from tests.support.redaction.judging import leaks, masked, shows
from tests.support.redaction_cases import innocents, secrets


@pytest.mark.parametrize(
    "text",
    [
        "hunter/2&3 quite",
        "say hunter/2&3 quite loud",
        "hunter%2F2%263%20quite",
        "hunter%252F2%25263%2520quite",
        "hunter/2&amp;3 quite",
        "hunter\\/2\\u00263 quite",
        "hunter/2",
    ],
)
def test_a_secret_leaks_as_it_is_in_escapes_and_by_half(text: str) -> None:
    assert leaks({"x": [text]}, "hunter/2&3 quite")
    assert leaks({text: 1}, "hunter/2&3 quite")


def test_less_than_half_of_a_secret_is_no_leak() -> None:
    assert not leaks({"x": "hunter/"}, "hunter/2&3 quite")


def test_a_short_secret_leaks_only_whole() -> None:
    assert leaks({"pin": 123456}, "123456")
    assert not leaks({"pin": 12345}, "123456")


def test_an_innocent_shows_in_a_text_and_in_compact_json() -> None:
    row = {"x": {"note": 'a "b"', "n": [1, None]}}

    assert shows(row, 'a "b"')
    assert shows(row, '"n":[1,null]')
    assert not shows(row, '"n": [1')


def test_found_texts_are_masked_in_names_values_and_numbers() -> None:
    row = {"by ab": ["xaby", 12, 123], "n": None}

    assert {"by [found]": ["x[found]y", "[found]", 123], "n": None} == masked(row, ["ab", "12"])


def test_each_case_holds_its_text_and_has_a_name_of_its_own() -> None:
    hidden, kept = list(secrets()), list(innocents())

    assert [] == [str(case) for case in hidden if not leaks({"what": case.what}, case.text)]
    assert [] == [str(case) for case in kept if not shows({"what": case.what}, case.text)]
    for cases in (hidden, kept):
        assert len(cases) == len({str(case) for case in cases})


def test_the_cases_have_the_same_values_in_each_run() -> None:
    assert json.dumps([*secrets(), *innocents()]) == json.dumps([*secrets(), *innocents()])
