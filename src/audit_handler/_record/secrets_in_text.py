"""
Redact the secrets in text that is not JSON: forms, query strings, headers, multipart and XML
bodies, the ``repr`` of a dict, JSON that was cut, passwords in URLs.

If the end of a secret is not clear, more is redacted rather than less. The time is linear in the
length of the text.
"""

from __future__ import annotations

import re
from typing import Any

from audit_handler._record.secret_names import SecretNames, any_of

__all__ = ["REDACTED", "SecretsInText", "without_userinfo"]

REDACTED = "***REDACTED***"

# The message of pydantic's ValidationError says input_value=..., a line below its field's name.
_INPUT = "input"

# The most characters of a text with secrets that are kept: as many as the largest max_value_bytes
# allows.
_MAX_TEXT = 1024 * 1024

# The rest of a key, after a name that was found, and the characters between key and value. Percent
# signs belong to url-encoded brackets and quotes, but not to "=" and ":", which end the key.
_KEY_REST = re.compile(
    r"""
    [\w.\-\[\]]* (?: %(?!(?:25)*3[ad]) [\w.\-\[\]]* )*
    (?P<to_value>
        (?P<quote> \\*["'] )?
        [^\S\r\n]*
        (?: [=:]+>? | %(?:25)*3[ad] | (?(quote) ,(?=\s*[bu]?\\*["']) | (?!) ) )
        (?(quote) \s* | [^\S\r\n]* )
    )?
    """,
    re.IGNORECASE | re.VERBOSE,
)
# A value in quotes. The quotes may be escaped, in text within text.
_QUOTED = re.compile(
    r"""[bur]{0,2}(?<!\\)(\\*)(["']).*?(?:(?<!\\)\1\2|\Z)""", re.IGNORECASE | re.DOTALL
)
_COLON = re.compile(r"\s*:\s*")
# A value up to the end of the line; a number or a word of JSON; and a value up to the next pair of
# a form or of a message.
_LINE = re.compile(r"[^\r\n]*")
_LITERAL = re.compile(r"[^\s,}\])]*")
_WORD = re.compile(r"(?:(?:Bearer|Basic|Digest|Token)[ ]+)?[^\s&]*", re.IGNORECASE)
_OPENING = re.compile(r"[\w.]*[\[({]")
_BRACKET_OR_QUOTED = re.compile(r"[\[({]|[\])}]|" + _QUOTED.pattern, re.IGNORECASE | re.DOTALL)

_USERINFO = re.compile(r"""(?<=://)([^\s/:@"'<>]*:)[^\s/"'<>]+(?=@)""")
_ELEMENT = re.compile(r"(<(?:\w+:)?([\w.\-]+)(?:\s[^<>]*)?>)(?:[^<]+|<!\[CDATA\[[^<]*\]\]>)(?=</)")
_FORM_PART = re.compile(
    r"""(\bname="([^"\r\n]*)"[^\r\n]{0,200}(?:\r?\n[^\r\n]+){0,8}\r?\n\r?\n)(.*?)(?=\r?\n--|\Z)""",
    re.DOTALL,
)


def without_userinfo(text: str) -> str:
    """Return *text* with the passwords in its URLs redacted."""
    # A function, because a template imports a module, which fails at the end of the interpreter.
    return _USERINFO.sub(lambda found: found[1] + REDACTED, text)


class SecretsInText:
    """
    Redacts text by patterns. Stateless, so one instance serves all threads.

    Args:
        names: Decide which keys are secret.
    """

    def __init__(self, names: SecretNames) -> None:
        self._is_secret = names.is_secret
        self._name = re.compile(any_of((*names.parts, _INPUT)), re.IGNORECASE)

    def redact(self, text: str) -> str:
        """Return *text*, cut to 1,048,576 characters, with the values of secret keys redacted."""
        if len(text) > _MAX_TEXT:
            text = f"{text[:_MAX_TEXT]}<cut: {len(text)} characters>"
        if "</" in text:
            text = _ELEMENT.sub(self._without_content, text)
        if 'name="' in text:
            text = _FORM_PART.sub(self._without_content, text)
        return self._redact_pairs(text)

    def _without_content(self, found: re.Match[str]) -> str:
        return f"{found[1]}{REDACTED}" if self._is_secret(found[2]) else found[0]

    def _redact_pairs(self, text: str) -> str:
        """Redact the values of ``key=value``, ``key: value``, ``"key": "value"`` and similar."""
        pieces: list[str] = []
        done = position = 0
        while name := self._name.search(text, position):
            key: Any = _KEY_REST.match(text, name.end())  # Any: it matches the empty text too
            position = key.end()
            if key["to_value"] is not None:
                end = _value_end(text, key.end(), name[0], key["to_value"], bool(key["quote"]))
                if end > position:
                    pieces += (text[done:position], REDACTED)
                    done = position = end
        return "".join((*pieces, text[done:]))


def _value_end(text: str, start: int, name: str, to_value: str, is_quoted: bool) -> int:
    """
    Return the end of the value that begins at *start*.

    Args:
        text: All of the text.
        start: Where the value begins.
        name: The secret part of its key.
        to_value: The text between the key and the value.
        is_quoted: Whether the key is in quotes.
    """
    # 1. Quoted, with any form of key.
    if found := _QUOTED.match(text, start):
        # {"name": "password", "value": "..."} that was cut: this is a key, and its value follows.
        if "," in to_value and (colon := _COLON.match(text, found.end())):
            return _value_end(text, colon.end(), name, colon[0], is_quoted)
        return found.end()
    # 2. A list, a dict, or the repr of an object: to the closing bracket.
    if text.startswith(("[", "(", "{"), start) or (is_quoted and _OPENING.match(text, start)):
        depth = 0
        for found in _BRACKET_OR_QUOTED.finditer(text, start):
            depth += (found[0] in "[({") - (found[0] in "])}")
            if depth <= 0:
                return found.end()
        return len(text)
    found = None
    # 3. A number, true or null in JSON.
    if is_quoted:
        found = _LITERAL.match(text, start)
    # 4. Headers of many parts, which have their own separators.
    elif ":" in to_value and name.lower() in ("authorization", "cookie"):
        found = _LINE.match(text, start)
    if found:
        return found.end()
    # 5. A form or a message: up to the next pair, without the punctuation around it.
    word = _WORD.match(text, start)[0]  # type: ignore[index]  # it matches the empty text too
    return start + len(word.rstrip(",;\"'<>)]}") or word)
