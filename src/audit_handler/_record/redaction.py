"""
What must not be stored: values under secret-sounding keys, and secrets in texts.

A value is encoded as it is, and its bytes get a cheap look: where no secret-sounding name stands in
them, nothing can be redacted, and they are what is stored. Only a suspicious value is decoded
again, and goes through the rules one key and one text at a time. What is no plain value is made one
first. Either way the result is the same, and a copy: later changes to the original do not show.

Text is searched wherever it stands: JSON, forms, query strings, headers, multipart and XML bodies,
what ``repr`` made of a dict, passwords in URLs. Where a text leaves it open how far a secret goes,
more is taken out rather than less. All of it takes time linear in the text's length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from audit_handler._record.plain import (
    ATOMS,
    MAX_NODES,
    Unencodable,
    encode,
    encode_plain,
    is_plain,
    plain,
)

__all__ = ["DEFAULT_KEYS", "LABELLED", "LABELS", "REDACTED", "Redactor"]

REDACTED = "***REDACTED***"

DEFAULT_KEYS: tuple[str, ...] = (
    "password",
    "token",
    "secret",
    "apikey",
    "api_key",
    "creditcard",
    "ssn",
    "privatekey",
    "accesstoken",
    "refreshtoken",
    "authorization",
    "cookie",
    "set-cookie",
    "passwd",
    "passphrase",
    "pwd",
    "credentials",
    "card_number",
    "cvv",
)
"""A key that contains one of these, in any case, has its value redacted."""

LABELS = frozenset({"name", "key", "field", "path", "loc", "header", "property", "attribute"})
"""Keys, in lower case, under which an object says what its other values are about."""

LABELLED = frozenset({"value", "values", "input", "old", "new", "old_value", "new_value"})
"""
What those other values are called: ``{"name": "Authorization", "value": ...}`` in HAR files and
many APIs, ``{"path": "/password", "value": ...}`` in JSON Patch and SCIM, ``{"loc": ["body",
"password"], "input": ...}`` in what FastAPI answers to a bad request, ``{"field": "password",
"old": ..., "new": ...}`` in lists of changes.
"""

_LABEL, _LABELLED, _SECRET = 1, 2, 4
# What a key is: one of these, or 0. Of an object's keys they are or-ed.

_IN_TEXTS = "input"
# The message of pydantic's ValidationError says input_value=..., a line below its field's name.

_MAX_TEXT = 1024 * 1024
# Characters of a text with secrets that are kept: as many as the largest max_value_bytes lets
# through.

_SEPARATORS = str.maketrans("", "", "_-. ")
_KNOWN_KEYS_LIMIT = 4096
_KNOWN_KEY_LENGTH = 128
# Key names come from code and schemas, so few are distinct, and short; the limits are for hostile
# bodies with random keys.

# For the look at encoded values: one pass makes them lower-case and takes the separators out.
_LOWER = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz")
_LOOK_SIGNS = "\n:/@\"'<>"
# Between two texts, and in a URL; quotes keep a name from running into the next.
_ALSO_LETTERS = re.compile("\xc4[\xb0\xb1]|\xc5\xbf|\xe2\x84\xaa")
# UTF-8, read as Latin-1, of the four letters that `re.IGNORECASE` takes for an i, an s and a k.
_NOT_ASCII = re.compile("[\x80-\xff]")

# The rest of a key, behind a name that was found, and what leads from there to the value. Percent
# signs are those of url-encoded brackets and quotes, but not of "=" and ":", which end the key.
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
# The values: in quotes (that may be escaped themselves, in text within text), up to the end of the
# line, a number or a word of JSON, and everything up to the next pair of a form or of a message.
_QUOTED = re.compile(
    r"""[bur]{0,2}(?<!\\)(\\*)(["']).*?(?:(?<!\\)\1\2|\Z)""", re.IGNORECASE | re.DOTALL
)
_COLON = re.compile(r"\s*:\s*")
_LINE = re.compile(r"[^\r\n]*")
_LITERAL = re.compile(r"[^\s,}\])]*")
_WORD = re.compile(r"(?:(?:Bearer|Basic|Digest|Token)[ ]+)?[^\s&]*", re.IGNORECASE)
_OPENING = re.compile(r"[\w.]*[\[({]")
_BRACKET_OR_QUOTED = re.compile(r"[\[({]|[\])}]|" + _QUOTED.pattern, re.IGNORECASE | re.DOTALL)

_USERINFO = re.compile(r"""(?<=://)([^\s/:@"'<>]*:)[^\s/"'<>]+(?=@)""")
_MAY_BE_USERINFO = re.compile(r"""://[^\s/:@"'<>]*:[^\s/"'<>]*@""", re.ASCII)
# In the look at an encoded text, from which separators are gone.
_ELEMENT = re.compile(r"(<(?:\w+:)?([\w.\-]+)(?:\s[^<>]*)?>)(?:[^<]+|<!\[CDATA\[[^<]*\]\]>)(?=</)")
_FORM_PART = re.compile(
    r"""(\bname="([^"\r\n]*)"[^\r\n]{0,200}(?:\r?\n[^\r\n]+){0,8}\r?\n\r?\n)(.*?)(?=\r?\n--|\Z)""",
    re.DOTALL,
)


class Redactor:
    """
    Cleans values. Stateless but for a cache of key names, so one instance serves all threads.

    Args:
        keys: Parts of key names to redact besides the default ones.
        use_default_keys: False leaves only *keys*.
        max_nodes: Values visited in one object before the rest is cut; bounds the time that a
            hostile object takes.
    """

    def __init__(
        self, keys: Iterable[str] = (), *, use_default_keys: bool = True, max_nodes: int = MAX_NODES
    ) -> None:
        parts = {key.lower() for key in (*(DEFAULT_KEYS if use_default_keys else ()), *keys)}
        joined = {part.translate(_SEPARATORS) or part for part in parts}
        # "accesstoken" adds nothing to "token".
        self._parts = tuple(
            sorted(p for p in joined if not any(len(o) > 3 and o in p for o in joined - {p}))
        )
        self._name = re.compile(_any_of(self._parts), re.IGNORECASE)
        self._name_in_text = re.compile(_any_of((*self._parts, _IN_TEXTS)), re.IGNORECASE)
        # As they stand in encoded text. A part of separators alone is in anything.
        self._marks = tuple(map(_mark, self._parts))
        # What no mark contains is left out of the look, which makes the search shorter.
        seen = "".join(self._marks) + _LOOK_SIGNS
        self._unseen = bytes(code for code in range(128) if chr(code).lower() not in seen)
        is_ascii = all(part.isascii() for part in self._parts)
        self._more_marks = _ALSO_LETTERS if is_ascii else _NOT_ASCII
        self._verdicts: dict[str, int] = {}
        self._max_nodes = max_nodes

    def is_secret(self, key: str) -> bool:
        """Whether the value of *key* is to be redacted."""
        verdict = self._verdicts.get(key)
        return (self._verdict(key) if verdict is None else verdict) == _SECRET

    def _verdict(self, key: str) -> int:
        """Return what *key* is, and remember it."""
        lower = key.lower()
        verdict = (
            _SECRET
            if self._name.search(key)
            else (lower in LABELS) * _LABEL + (lower in LABELLED) * _LABELLED
        )
        if len(self._verdicts) < _KNOWN_KEYS_LIMIT and len(key) <= _KNOWN_KEY_LENGTH:
            self._verdicts[key] = verdict
        return verdict

    def encode(self, values: Sequence[Any]) -> list[bytes]:
        """
        Return the compact JSON of each of *values*, redacted: that of `clean`, in less time.

        Raises:
            Unencodable: One of *values* is a text with lone surrogates. Inside of objects they are
                replaced.
        """
        try:
            if not is_plain(values, self._max_nodes):
                raise Unencodable
            encoded = list(map(encode_plain, values))
        except Unencodable:
            pairs = list(map(self._encode_one, values))
            values, encoded = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        for index in self._suspects(encoded):
            try:
                encoded[index] = encode(self._redacted(values[index]))
            except RuntimeError:
                # Another thread is changing it.
                encoded[index] = encode(self.clean(values[index]))
        return encoded

    def _encode_one(self, value: Any) -> tuple[Any, bytes]:
        """Return *value*, or a plain copy of it, and its JSON before any redaction."""
        if is_plain((value,), self._max_nodes):
            try:
                return value, encode_plain(value)
            except Unencodable:
                if type(value) is str:
                    raise
        copy = plain(value, self._max_nodes)
        return copy, encode(copy)

    def clean(self, value: Any) -> Any:
        """
        Return a plain copy of *value*, redacted: dicts with text keys, lists, text, numbers,
        booleans and None.

        Never raises: what cannot be read is replaced by a text that says so, in angle brackets.
        """
        return self._redacted(plain(value, self._max_nodes))

    def clean_text(self, text: str) -> str:
        """
        Return *text* with the secrets in it redacted: as JSON where it is JSON, else by patterns.

        Of a text that holds secrets and is no JSON, 1,048,576 characters are kept.
        """
        # The cheap look first: without one of these there is no pair, of whatever form.
        if not (
            "=" in text
            or ":" in text
            or "<" in text
            or "%3" in text
            or '",' in text
            or "'," in text
        ):
            return text
        if "://" in text and "@" in text:
            text = _USERINFO.sub(rf"\g<1>{REDACTED}", text)
        joined = _joined(text)
        for part in self._parts:
            if part in joined:
                return self._clean_suspect(text)
        return text

    def _suspects(self, encoded: Sequence[bytes]) -> set[int]:
        """Return the indexes of the texts in JSON that may hold something to redact."""
        # One look at all of them: most have nothing, and a search costs more to begin than to do.
        # There is no line end in JSON.
        look = b"\n".join(encoded).translate(_LOWER, self._unseen).decode("latin-1")
        found = [mark for mark in self._marks if mark in look]
        if not look.isascii():
            found += self._more_marks.findall(look)
        if "@" in look and "://" in look and _MAY_BE_USERINFO.search(look):
            found.append("://")
        if not found:
            return set()
        texts = look.split("\n")
        return {index for mark in found for index, text in enumerate(texts) if mark in text}

    def _redacted(self, value: Any) -> Any:
        """Return a redacted copy of a plain value."""
        kind = type(value)
        if kind is str:
            return self.clean_text(value)
        try:
            if kind is dict:
                return self._redacted_dict(value)
            if kind is list or kind is tuple:
                return self._redacted_list(value)
        except RecursionError:
            # The application's own stack left no room.
            return f"<unreadable {kind.__name__}: RecursionError>"
        # What is not plain, another thread has put there since it was.
        return value if kind in ATOMS else self.clean(value)

    # The two loops look at keys and simple values themselves: nearly all are, and calls cost more
    # than all the rest.

    def _redacted_dict(self, value: dict[str, Any]) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        verdicts = self._verdicts
        found = 0
        for name, item in value.items():
            verdict = verdicts.get(name)
            if verdict is None:
                verdict = self._verdict(name)
            found |= verdict
            kind = type(item)
            if verdict == _SECRET:
                copy[name] = REDACTED
            elif kind is str:
                # Without a sign in it there is no pair.
                copy[name] = item if item.isalnum() else self.clean_text(item)
            else:
                copy[name] = item if kind in ATOMS else self._redacted(item)
        if found & _LABEL and found & _LABELLED:
            self._redact_labelled(copy)
        return copy

    def _redact_labelled(self, copy: dict[str, Any]) -> None:
        """Redact what *copy* says of a secret that is named beside it."""
        if any(self._verdict(n) == _LABEL and self._is_secret_label(v) for n, v in copy.items()):
            copy.update((n, REDACTED) for n in copy if self._verdict(n) == _LABELLED)

    def _is_secret_label(self, label: Any) -> bool:
        """Whether *label*, a name or the way to it as a list, is that of a secret."""
        parts = label if type(label) is list else (label,)
        return any(type(part) is str and self.is_secret(part) for part in parts)

    def _redacted_list(self, value: Sequence[Any]) -> list[Any]:
        copy: list[Any] = []
        for item in value:
            kind = type(item)
            # [["authorization", "..."], ...]: headers and form fields come as pairs as often as in
            # dicts.
            if (
                (kind is list or kind is tuple)
                and len(item) == 2
                and type(item[0]) is str
                and self.is_secret(item[0])
            ):
                copy.append([item[0], REDACTED])
            else:
                copy.append(item if kind in ATOMS else self._redacted(item))
        return copy

    def _clean_suspect(self, text: str) -> str:
        """Clean a text in which a secret-sounding name stands somewhere."""
        if text.lstrip()[:1] in ("{", "[", '"'):
            try:
                return encode(self.clean(json.loads(text))).decode()
            except (ValueError, RecursionError):
                pass  # no JSON, or not whole
        if len(text) > _MAX_TEXT:
            text = f"{text[:_MAX_TEXT]}<cut: {len(text)} characters>"
        if "</" in text:
            text = _ELEMENT.sub(self._without_content, text)
        if 'name="' in text:
            text = _FORM_PART.sub(self._without_content, text)
        return self._clean_pairs(text)

    def _without_content(self, found: re.Match[str]) -> str:
        return f"{found[1]}{REDACTED}" if self.is_secret(found[2]) else found[0]

    def _clean_pairs(self, text: str) -> str:
        """Redact the values of ``key=value``, ``key: value``, ``"key": "value"`` and the like."""
        pieces: list[str] = []
        done = position = 0
        while name := self._name_in_text.search(text, position):
            key: Any = _KEY_REST.match(text, name.end())  # Any: it matches the empty text too
            position = key.end()
            if key["to_value"] is not None:
                end = _value_end(text, key.end(), name[0], key["to_value"], bool(key["quote"]))
                if end > position:
                    pieces += (text[done:position], REDACTED)
                    done = position = end
        return "".join((*pieces, text[done:]))


def _joined(text: str) -> str:
    """Return *text* in lower case without separators; str.translate takes seven times as long."""
    return text.lower().replace("_", "").replace("-", "").replace(".", "").replace(" ", "")


def _mark(part: str) -> str:
    """
    Return what stands in the look at an encoded text wherever *part* is found in it.

    The empty text, which is everywhere, for a part of separators alone, and for one with letters
    that `re.IGNORECASE` finds in ASCII.
    """
    part = "" if "ı" in part or "ſ" in part else part.translate(_SEPARATORS)  # noqa: RUF001
    return encode_plain(part)[1:-1].decode("latin-1")


def _any_of(parts: Iterable[str]) -> str:
    """
    Return a pattern for *parts* of key names, with separators between any two letters.

    Short ones are taken literally, and never across the words of a name: "ssn" is not in
    "businessName".
    """
    patterns = [
        rf"(?-i:{'|'.join(re.escape(form) for form in (part, part.capitalize(), part.upper()))})"
        if len(part) <= 3
        else r"[_\-. ]{0,3}".join(map(re.escape, part))
        for part in parts
    ]
    # The first letters once more, in front: most places of a text are ruled out by one look.
    initials = "".join(sorted({re.escape(part[0]) for part in parts}))
    return rf"(?=[{initials}])(?:{'|'.join(patterns)})" if patterns else r"(?!)"


def _value_end(text: str, start: int, name: str, to_value: str, is_quoted: bool) -> int:
    """
    Return where the value ends that begins at *start*.

    Args:
        text: All of the text.
        start: Where the value begins.
        name: The secret-sounding part of its key.
        to_value: What leads from the key to the value.
        is_quoted: Whether the key stands in quotes.
    """
    # 1. Quoted, whatever the key looks like.
    if found := _QUOTED.match(text, start):
        # {"name": "password", "value": "..."} that was cut off: this is a key, its value follows.
        if "," in to_value and (colon := _COLON.match(text, found.end())):
            return _value_end(text, colon.end(), name, colon[0], is_quoted)
        return found.end()
    # 2. A list, a dict, or what repr made of an object: to the closing bracket.
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
    # 4. Headers of many parts, with separators of their own.
    elif ":" in to_value and name.lower() in ("authorization", "cookie"):
        found = _LINE.match(text, start)
    if found:
        return found.end()
    # 5. A form or a message: up to the next pair, but for the punctuation around it.
    word = _WORD.match(text, start)[0]  # type: ignore[index]  # it matches the empty text too
    return start + len(word.rstrip(",;\"'<>)]}") or word)
