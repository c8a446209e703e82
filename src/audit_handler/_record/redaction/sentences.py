"""Secret values that a sentence says, or that only blanks separate from their names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from audit_handler._record.redaction.names import CODE, KIND, NOUNS, PASSWORD, TOKEN
from audit_handler._record.redaction.spans import TRAILING, Span, in_quotes
from audit_handler._record.redaction.values import stays

__all__ = ["BARE", "SAID", "bare", "codes", "said"]

# "password changed from 'a' to 'b'", "your code is 123456".
SAID = re.compile(
    r"[\"']?[^\S\r\n]+(?:(?:is|was)[^\S\r\n]+)?generated(?:[^\S\r\n]+for[^\S\r\n]+[^\s:]+)?"
    r":[^\S\r\n]*(?=\S)"
    # "temporary password for ann: x1y2z3"
    r"|[^\S\r\n]+for[^\S\r\n]+[^\s:=]{1,64}[^\S\r\n]*[:=][^\S\r\n]+(?=\S)"
    r"|[\"']?[^\S\r\n]+"
    # Not in "Accepted password for kim from 10.0.0.1".
    r"(?:for[^\S\r\n]+[^\s:]{1,64}[^\S\r\n]+"
    r"(?=(?:is|was)[^\S\r\n]|(?:\w+[^\S\r\n]+)?(?:chang|set|reset|rotat|updat)))?"
    r"(?:(?:was|has been|is|been|got)[^\S\r\n]+)?"
    r"(?:(?:changed|set|reset|rotated|updated)[^\S\r\n]+)?"
    r"(?:is|was|from|to|as|ist|lautet|est|es|\u00e8|\u00e9)[:\s]+(?=\S)"
)
"""What stands between a name and the value that a sentence says."""
# "requirepass x1y2z3", "enable secret 5 x1y2z3"; what looks made, and what does not.
BARE = re.compile(r"[\"']?[^\S\r\n]+(?:\d[^\S\r\n]+)?(?=[^\s=:|&-])")
"""Blanks between a name and a value."""
_MADE = re.compile(r"(?=[^\s]{0,256}\d)(?=[^\s]{0,256}[A-Za-z])[^\s/()\[\]{}<>=*]{6,}")
_NOT_MADE = re.compile(
    r"[\d.:/TZ+-]+|[\w.+-]+@[\w.-]+|\d+(?:st|nd|rd|th|[a-z])|v?\d[\d.]*\w?|[a-z]+\d{1,2}"
    # A package: "tokenizers-0.19.1".
    r"|[a-z][\w-]*-\d+(?:\.\d+)+|(?:sha|md)\d+\S*|[a-z]+(?:[-_][a-z]+){0,4}[-_]\d{1,4}",
    re.IGNORECASE,
)
# Without quotes: where somebody came from, and how long or how old something is.
_NO_SECRET = re.compile(
    r"\d{1,3}(?:\.\d{1,3}){3}(?:[:/]\d{1,5})?|(?=(?:[^:]*:){2})[\da-f:.]+"
    r"|\d{1,3}|\d{1,6}(?:ms|[smhd])|(?:sha|md|aes|rsa)-?\d{1,4}(?:-\w{3,4})?"
    r"|(?:AKIA|ASIA)[A-Z0-9]{12,20}",
    re.IGNORECASE,
)
_MEASURED = re.compile(
    r"(?:19|20)\d\d[ \t]+[a-z]"
    r"|\d{1,9}[ \t]+(?:char|letter|byte|bit|second|minute|hour|day|week|month|year|zeichen|tage"
    r"|stunden|minuten|sekunden|wochen|monate|jahre|jours|mois|caract|d[i\u00ed]as)",
    re.IGNORECASE,
)
# "API key x1Y2..." in the middle of a sentence.
_RANDOM = re.compile(r"(?=\S*\d)(?=\S*[a-z])(?=\S*[A-Z])[\w-]{20,}", re.ASCII)
_CODE_NOUNS = "|".join(noun.replace("-", "[ _-]?") for noun in NOUNS[CODE].split())
# "one-time code 123456", "backup code v6rwr-r8yzx".
_CODE = re.compile(
    rf"(?<![\w/-])(?:{_CODE_NOUNS})[ \t]+(\d{{4,10}}|\d{{3}}[ -]\d{{3}}"
    r"|(?=[a-z]{0,7}\d)[a-z0-9]{3,8}(?:-[a-z0-9]{4,8}){1,3})"
    r"(?![\w-]|[.,]\d|[ \t]+(?:m?s|times?|bytes?|seconds?|minutes?|hours?|rows?|requests?)\b)"
)
# "123456 is your Acme verification code", "use 123456 as your code".
_IS_CODE = re.compile(
    r"[ \t](?:(?:is|was|as|ist)[ \t]+(?:your|ihre?|deine?)[ \t]+"
    rf"(?:code|(?:[\w-]{{1,40}}[ \t]+){{0,4}}?(?:{_CODE_NOUNS}|password))"
    rf"|(?:is|was|as)[ \t]+the[ \t]+(?:[\w-]{{1,40}}[ \t]+){{0,2}}?(?:{_CODE_NOUNS}))\b"
    r"(?![ \t_-]{0,9}(?:length|age|limit|polic|expir|min|max|hist|valid|reset|chang|manager"
    r"|hint|request))"
)
_CODE_BEFORE = re.compile(r"(?<![\w.,-])(?:[a-z]-)?(?:\d{4,10}|\d{3}[ -]\d{3})\Z")
_LONGEST_CODE = 12
# Characters of a token.
_LONG = 10
_SAID_NEXT = re.compile(r"[^\S\r\n]+to[^\S\r\n]+(?=\S)")
_SAID_CODE = re.compile(
    r"\d{4,10}(?!\w)|\d{3}[ -]\d{3}(?!\w)"
    r"|(?=[a-z]{0,7}\d)[a-z0-9]{3,8}(?:-[a-z0-9]{4,8}){1,3}(?!\w)"
)
_HAS_DIGIT = re.compile(r"\d")
_ARGUMENT = re.compile(r"""[^\s"'`]*""")


def said(text: str, start: int, verdict: int) -> Iterator[Span]:
    """Yield the places of the values that a sentence says at *start*."""
    kind = verdict & KIND
    next_one: re.Match[str] | None = None
    while True:
        quoted = in_quotes(text, start)
        code = _SAID_CODE.match(text, start) if kind == CODE else None
        span = quoted or (code or _ARGUMENT.match(text, start)).span()  # type: ignore[union-attr]
        value = text[slice(*span)].rstrip(TRAILING)
        is_secret = (
            _SAID_CODE.fullmatch(value)
            if kind == CODE
            else quoted
            or (
                kind in (PASSWORD, TOKEN)
                and _HAS_DIGIT.search(value)
                and not _NO_SECRET.fullmatch(value)
                and not _MEASURED.match(text, start)
            )
        )
        if is_secret and not stays(value, verdict):
            yield span[0], span[0] + len(value)
        elif not quoted or value:
            return  # "changed from '' to 'x'" goes on
        next_one = _SAID_NEXT.match(text, span[1] + bool(quoted))
        if not next_one:
            return
        start = next_one.end()


def codes(text: str) -> Iterator[Span]:
    """
    Yield the places of codes before and behind the words for what they are, in a *text* that
    `lowered` returned.
    """
    for found in _CODE.finditer(text):
        yield found.span(1)
    for found in _IS_CODE.finditer(text):
        start = found.start()
        if code := _CODE_BEFORE.search(text, max(0, start - _LONGEST_CODE), start):
            yield code.span()


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
        or (
            kind == TOKEN
            and is_alone
            and (quoted or (is_last and len(value) >= _LONG) or _RANDOM.fullmatch(value))
        )
    ) and not stays(value, verdict):
        yield span[0], end
