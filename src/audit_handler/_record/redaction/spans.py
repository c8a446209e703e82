"""A place in a text, as (start, end), and the places where a value in quotes or brackets ends."""

from __future__ import annotations

import re

from audit_handler._record.redaction.values import REDACTED

__all__ = ["TRAILING", "Span", "after_brackets", "in_quotes", "without"]

Span = tuple[int, int]

TRAILING = ",;\"'<>)]}."
"""Signs behind a value in a text that belong to the text around it."""

_QUOTE = re.compile(r"""(?:[bruBRUNE]|U&){0,2}(?<!\\)(\\*)(["'`])""")
_BRACKET = re.compile(r"""[\[({]|[\])}]|(?<!\\)(\\*)(["']).*?(?:(?<!\\)\1\2|\Z)""", re.DOTALL)


def in_quotes(text: str, start: int) -> Span | None:
    """
    Return the place inside the quotes that open at *start*, up to the end of *text* if they do not
    close; None if there are none. The quotes may be escaped, in text within text.
    """
    opening = _QUOTE.match(text, start)
    if not opening:
        return None
    around, sign = len(opening[1]), opening[2]
    position = begin = opening.end()
    while (position := text.find(sign, position)) >= 0:
        first = position
        while first > begin and text[first - 1] == "\\":
            first -= 1
        escapes = position - first
        if escapes < around:
            return begin, first  # a quote of the text around this one
        # Each text within a text doubles the backslashes, and escapes the quote.
        if (escapes - around) % (2 * around + 2):
            position += 1
        elif not escapes and sign != "`" and text.startswith(sign, position + 1):
            position += 2  # doubled, as in SQL, YAML and CSV
        else:
            return begin, position - around
    return begin, len(text)


def after_brackets(text: str, start: int) -> int:
    """Return the end of the brackets that open at *start*."""
    depth = 0
    for found in _BRACKET.finditer(text, start):
        depth += (found[0] in "[({") - (found[0] in "])}")
        if depth <= 0:
            return found.end()
    return len(text)


def without(text: str, spans: list[Span]) -> str:
    """Return *text* with a mark in place of each of *spans*; those that overlap get one."""
    pieces: list[str] = []
    done = end = 0
    for start, stop in sorted(spans):
        if stop <= start or stop <= end:
            continue
        if start >= end or not pieces:
            pieces += (text[done:start], REDACTED)
        done = end = stop
    return "".join((*pieces, text[done:])) if pieces else text
