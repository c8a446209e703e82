"""Secret values that a sentence says, or that only blanks separate from their names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from audit_handler._record.redaction.names import CODE, KIND, PASSWORD, TOKEN
from audit_handler._record.redaction.spans import TRAILING, Span, in_quotes
from audit_handler._record.redaction.values import stays

__all__ = ["BARE", "SAID", "bare", "said"]

# "password changed from 'a' to 'b'", "your code is 123456".
SAID = re.compile(
    r"[\"']?[^\S\r\n]+(?:(?:is|was)[^\S\r\n]+)?generated(?:[^\S\r\n]+for[^\S\r\n]+[^\s:]+)?"
    r":[^\S\r\n]*(?=\S)"
    r"|[\"']?[^\S\r\n]+(?:(?:was|has been|is|been|got)[^\S\r\n]+)?"
    r"(?:(?:changed|set|reset|rotated|updated)[^\S\r\n]+)?(?:is|was|from|to|as)[:\s]+(?=\S)"
)
"""What stands between a name and the value that a sentence says."""
# "requirepass x1y2z3", "enable secret 5 x1y2z3"; what looks made, and what does not.
BARE = re.compile(r"[\"']?[^\S\r\n]+(?:\d[^\S\r\n]+)?(?=[^\s=:|&-])")
"""Blanks between a name and a value."""
_MADE = re.compile(r"(?=[^\s]{0,256}\d)(?=[^\s]{0,256}[A-Za-z])[^\s/()\[\]{}<>=*]{6,}")
_NOT_MADE = re.compile(
    r"[\d.:/TZ+-]+|[\w.+-]+@[\w.-]+|\d+(?:st|nd|rd|th|[a-z])|v?\d[\d.]*\w?|[a-z]+\d{1,2}"
    r"|(?:sha|md)\d+\S*|[a-z]+(?:[-_][a-z]+){0,4}[-_]\d{1,4}",
    re.IGNORECASE,
)
# Characters of a token.
_LONG = 10
_SAID_NEXT = re.compile(r"[^\S\r\n]+to[^\S\r\n]+(?=\S)")
_MANY_DIGITS = re.compile(r"\d{4,10}(?!\w)")
_HAS_DIGIT = re.compile(r"\d")
_ARGUMENT = re.compile(r"""[^\s"'`]*""")


def said(text: str, start: int, verdict: int) -> Iterator[Span]:
    """Yield the places of the values that a sentence says at *start*."""
    kind = verdict & KIND
    next_one: re.Match[str] | None = None
    while True:
        quoted = in_quotes(text, start)
        span = quoted or _ARGUMENT.match(text, start).span()  # type: ignore[union-attr]
        value = text[slice(*span)].rstrip(TRAILING)
        is_secret = (
            _MANY_DIGITS.fullmatch(value)
            if kind == CODE
            else quoted or (kind in (PASSWORD, TOKEN) and _HAS_DIGIT.search(value))
        )
        if not is_secret or stays(value, verdict):
            return
        yield span[0], span[0] + len(value)
        next_one = _SAID_NEXT.match(text, span[1] + bool(quoted))
        if not next_one:
            return
        start = next_one.end()


def bare(text: str, start: int, verdict: int, *, is_alone: bool) -> Iterator[Span]:
    """
    Yield the place of a value that only blanks separate from its name: ``requirepass x1y2z3``.

    Args:
        text: All of the text.
        start: Where the value begins.
        verdict: On the name.
        is_alone: Whether the name begins where a word begins.
    """
    kind = verdict & KIND
    quoted = in_quotes(text, start)
    span = quoted or _ARGUMENT.match(text, start).span()  # type: ignore[union-attr]
    value = text[slice(*span)].rstrip(TRAILING)
    if not _MADE.fullmatch(value) or _NOT_MADE.fullmatch(value):
        return
    end = span[0] + len(value)
    is_last = not text[end : end + 2].strip()
    if (
        kind == PASSWORD
        or (kind == TOKEN and is_alone and (quoted or (is_last and len(value) >= _LONG)))
    ) and not stays(value, verdict):
        yield span[0], end
