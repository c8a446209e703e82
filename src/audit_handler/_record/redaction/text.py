"""Redact the secrets in one text."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import unquote

from audit_handler._record.redaction.documents import Documents
from audit_handler._record.redaction.json_text import past_sign
from audit_handler._record.redaction.names import SecretNames, composed
from audit_handler._record.redaction.options import Options
from audit_handler._record.redaction.pairs import Pairs
from audit_handler._record.redaction.shapes import shapes_in
from audit_handler._record.redaction.spans import Span, without

__all__ = ["ESCAPE", "SecretsInText"]

# The most characters of a text with secrets that are kept: as many as the largest max_value_bytes
# allows.
_MAX_TEXT = 1024 * 1024
# Of JSON, of URLs and forms, of HTML.
ESCAPE = re.compile(
    r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\x1b\[|(?<!%)%[0-9a-fA-F]{2}"
    r"|&(?:quot|apos|amp|lt|gt|colon|equals|#\d{1,4}|#x[0-9a-fA-F]{1,4});"
)
"""An escape, behind which a secret may hide."""
# Not the number of a message of Windows: %%1842.
_PERCENT = re.compile(r"(?<!%)(?:%[0-9a-fA-F]{2})+")
_HEXADECIMAL = re.compile(r"\\x([0-9a-fA-F]{2})")
# The colours of a terminal (ECMA-48).
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
# Between a name and its value, around a value, or before an argument: a text without any of these
# has no pair.
_SIGN = re.compile(
    r"""[=:<>'"`\n,|]|(?<![\w.])-"""
    r"|[ \t](?:is|was|from|to|as|set|put|add|by|user|securestring|ist|lautet|est|es|è|é)[ \t:]",
    re.IGNORECASE,
)
# "requirepass x1y2z3": only a blank between a name and a value that looks made.
_BARE = re.compile(
    r"(?:pass|pw|secret|key|token|code|pin|otp|tan)[\w.-]{0,32}[\"']?[ \t]+(?:\d[ \t]+)?[\"']?"
    r"(?=\S{0,64}\d)\S{3}",
    re.IGNORECASE,
)
# A text may be escaped once more for each place that it passes through.
_TIMES = 3


class SecretsInText:
    """
    Stateless, so one instance serves all threads.

    Args:
        names: Judge the names.
        options: Find the secrets among arguments.
        patterns: Of more secrets.
        use_shapes: False looks for *names* and *patterns* only.
    """

    def __init__(
        self,
        names: SecretNames,
        options: Options,
        patterns: Sequence[re.Pattern[str]] = (),
        *,
        use_shapes: bool = True,
    ) -> None:
        self._finders: list[Callable[[str], Iterable[Span]]] = [
            Pairs(names).spans,
            Documents(names).spans,
        ]
        self._options = options
        self._use_shapes = use_shapes
        self._patterns = patterns

    def redact_shapes(self, text: str) -> str:
        """
        Return *text*, cut to 1,048,576 characters, without the secrets that show whatever stands
        around them.
        """
        if len(text) > _MAX_TEXT:
            text = f"{text[:_MAX_TEXT]}<cut: {len(text)} characters>"
        spans = self._shapes(text)
        return without(text, spans) if spans else text

    def redact(self, text: str) -> str:
        """Return *text* without its secrets; `json_text.without_objects` may have made it."""
        text = self._redact(text)
        plain = text
        for _ in range(_TIMES):
            before, plain = plain, _unescaped(plain)
            if plain == before:
                break
            redacted = self._redact(plain)
            if redacted != plain:
                # A secret that only shows when it is unescaped: the text stays so.
                text = plain = redacted
        return text

    def _redact(self, text: str) -> str:
        spans = self._shapes(text)
        spans += self._options.spans(text)
        if _SIGN.search(text) or _BARE.search(text):
            spans += [span for find in self._finders for span in find(text)]
        if spans and "\0" in text:
            spans = [(start, past_sign(text, end)) for start, end in spans]
        return without(text, spans) if spans else text

    def _shapes(self, text: str) -> list[Span]:
        spans = list(shapes_in(text)) if self._use_shapes else []
        for pattern in self._patterns:
            spans += [found.span() for found in pattern.finditer(text)]
        return spans


def _unescaped(text: str) -> str:
    """Return *text* with one layer of its escapes removed, and its letters composed."""
    if ESCAPE.search(text):
        if "\\u" in text:
            text = _UNICODE.sub(lambda found: chr(int(found[1], 16)), text)
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if "\\x" in text:
            text = _HEXADECIMAL.sub(lambda found: chr(int(found[1], 16)), text)
        if "\x1b" in text:
            text = _COLOUR.sub("", text)
        if "%" in text:
            text = _PERCENT.sub(lambda found: unquote(found[0]), text)
        if "&" in text:
            text = html.unescape(text)
    return composed(text)
