"""Where a value in quotes or brackets ends, and what is left of a text."""

from __future__ import annotations

import pytest

from audit_handler._record.redaction import REDACTED
from audit_handler._record.redaction.spans import Span, after_brackets, in_quotes, without


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("'a b' c", "a b"),
        ('"a" c', "a"),
        ("`a` c", "a"),
        ("b'a' c", "a"),
        ("N'a'", "a"),
        ("U&'a'", "a"),
        ("'a", "a"),
        (r"'a\'b' c", r"a\'b"),
        (r'"a\\" c', r"a\\"),
        ("'a''b' c", "a''b"),
        ('"a""b" c', 'a""b'),
        ("'' c", ""),
        (r"\"a\" c", "a"),
        (r"\"a\\\"b\" c", r"a\\\"b"),
        (r"\\\"a\\\" c", "a"),
        # A quote of the text around this one.
        (r'\"a" c', "a"),
        ("'a\nb' c", "a\nb"),
    ],
)
def test_quotes_end_where_they_close(text: str, inside: str) -> None:
    span = in_quotes(text, 0)

    assert span
    assert inside == text[slice(*span)]


@pytest.mark.parametrize("text", ["a'b'", " 'a'", "", "a"])
def test_without_quotes_there_is_no_end(text: str) -> None:
    assert in_quotes(text, 0) is None


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("[a] b", "[a]"),
        ("{a: [1, (2)]} b", "{a: [1, (2)]}"),
        ("['a]', b] c", "['a]', b]"),
        ('{"a\\"}": 1} c', '{"a\\"}": 1}'),
        ("[a", "[a"),
        ("[['a]", "[['a]"),
        ("(')')", "(')')"),
    ],
)
def test_brackets_end_where_they_close(text: str, whole: str) -> None:
    assert whole == text[: after_brackets(text, 0)]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], "abcdef"),
        ([(1, 2)], f"a{REDACTED}cdef"),
        ([(4, 6), (0, 1)], f"{REDACTED}bcd{REDACTED}"),
        ([(1, 4), (2, 3)], f"a{REDACTED}ef"),
        ([(1, 3), (2, 5)], f"a{REDACTED}f"),
        ([(1, 2), (1, 2)], f"a{REDACTED}cdef"),
        ([(1, 1), (3, 2)], "abcdef"),
        ([(0, 6)], REDACTED),
        ([(1, 3), (3, 5)], f"a{REDACTED}{REDACTED}f"),
    ],
)
def test_spans_are_replaced_and_those_that_overlap_get_one_mark(
    spans: list[Span], expected: str
) -> None:
    assert expected == without("abcdef", spans)
