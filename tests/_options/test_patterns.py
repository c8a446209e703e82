"""A pattern that an application gives is refused if it cannot be used, or may take for ever."""

from __future__ import annotations

import pytest

from audit_handler._options.patterns import checked_pattern
from audit_handler._record.redaction import REDACTED, Redactor


@pytest.mark.parametrize(
    "pattern",
    [
        r"CUST-\d{8,10}",
        r"(?i)\bcust-[a-z]+\b",
        r"(?:AB|CD)\d+",
        r"(?<=id=)[0-9a-f]{32}",
        r"(\d{4}-){3}\d{4}",
        r"(?:[A-Z]{2}){1,8}x",
        r"a+b{1,4}c?",
        r"(?P<quote>['\"])x(?P=quote)",
    ],
)
def test_a_usual_pattern_is_compiled(pattern: str) -> None:
    assert pattern == checked_pattern(pattern).pattern


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "(?P<a>x)(?P<a>y)", "a{99999999999}"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no regular expression"):
        checked_pattern(pattern)


@pytest.mark.parametrize("pattern", ["", "x*", "a|", r"\b", "(?:)"])
def test_a_pattern_that_matches_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="matches the empty text"):
        checked_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        *("(a+)+b", "(a*)*b", "(?:a+)*?b", "(a|ab)*c", "(?:a|a)+b", "((a+)b?)+c", "(?=(a+)+)b"),
        *(r"(\w+\s?)+:", r"(x?){20}y", r"(?:a{1,9}){9,}b", r"(a)(?:\1)+(?:b\1)*c"),
        *("(?:(?:ab|cd)e)+f", r"\d+\d+x", ".*=.*", "a*a*b", "(a{1,10}){1,8}b", "a{1,999}b{1,2000}"),
    ],
)
def test_a_pattern_that_may_take_too_long_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="may take too long"):
        checked_pattern(pattern)


@pytest.mark.parametrize(
    "text",
    ["AB1234", "an AB1234 there", '{"id":"AB1234"}', '{"a": "x", "b": ["AB1234"]}', "x%41B1234"],
)
def test_a_pattern_is_looked_for_in_any_text(text: str) -> None:
    cleaned = Redactor(patterns=[r"AB\d{4}"]).clean_text(text)

    assert (False, True) == ("1234" in cleaned, REDACTED in cleaned)


@pytest.mark.parametrize(
    "value",
    [
        {"x": "AB1234"},
        ["AB1234"],
        {"AB1234": 1},
        {"a": {"b": [{"c": "AB1234"}]}},
        [["x", "AB1234"]],
    ],
)
def test_a_pattern_is_looked_for_in_any_value(value: object) -> None:
    redactor = Redactor(patterns=[r"AB\d{4}"])

    assert "AB1234" not in str(redactor.clean(value))
    assert b"AB1234" not in redactor.encode(value)


def test_patterns_are_looked_for_without_the_default_rules() -> None:
    only = Redactor(patterns=[r"AB\d{4}"], use_default_keys=False)

    assert f"password=x {REDACTED}" == only.clean_text("password=x AB1234")
