"""Decide which keys name a secret, by the parts that their names contain."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = [
    "DEFAULT_KEYS",
    "LABEL",
    "LABELLED",
    "LABELS",
    "SECRET",
    "SEPARATORS",
    "VALUE",
    "SecretNames",
    "any_of",
]

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
"""The value of a key that contains one of these, in upper or lower case, is redacted."""

LABELS = frozenset({"name", "key", "field", "path", "loc", "header", "property", "attribute"})
"""Keys, in lower case, whose value is the name of the object's other values."""

LABELLED = frozenset({"value", "values", "input", "old", "new", "old_value", "new_value"})
"""
Keys of those other values: ``{"name": "Authorization", "value": ...}`` in HAR files and many APIs,
``{"path": "/password", "value": ...}`` in JSON Patch and SCIM, ``{"loc": ["body", "password"],
"input": ...}`` in FastAPI's answer to a bad request, ``{"field": "password", "old": ..., "new":
...}`` in lists of changes.
"""

LABEL, VALUE, SECRET = 1, 2, 4
"""
Verdicts on a key: in `LABELS`, in `LABELLED`, secret; 0 for any other. The verdicts on all keys of
an object are combined with ``|``.
"""

SEPARATORS = str.maketrans("", "", "_-. ")
"""For `str.translate`: removes the characters that may separate the letters of a part."""

# Key names come from code and schemas, so they are few and short; the limits are for hostile bodies
# with random keys.
_KNOWN_KEYS_LIMIT = 4096
_KNOWN_KEY_LENGTH = 128


class SecretNames:
    """
    Judges keys. Its only state is a cache of key names, so one instance serves all threads.

    Args:
        keys: Parts of secret key names, in upper or lower case and with any separators.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        parts = {key.lower() for key in keys}
        joined = {part.translate(SEPARATORS) or part for part in parts}
        # "accesstoken" adds nothing to "token".
        self.parts: tuple[str, ...] = tuple(
            sorted(p for p in joined if not any(len(o) > 3 and o in p for o in joined - {p}))
        )
        """Lower-case parts without separators, unless they consist of separators alone."""
        self.verdicts: dict[str, int] = {}
        """Verdicts on the keys that were judged before."""
        self._pattern = re.compile(any_of(self.parts), re.IGNORECASE)

    def is_secret(self, key: str) -> bool:
        """Return whether to redact the value of *key*."""
        verdict = self.verdicts.get(key)
        return (self.judge(key) if verdict is None else verdict) == SECRET

    def judge(self, key: str) -> int:
        """Return the verdict on *key*, and remember it."""
        lower = key.lower()
        verdict = (
            SECRET
            if self._pattern.search(key)
            else (lower in LABELS) * LABEL + (lower in LABELLED) * VALUE
        )
        if len(self.verdicts) < _KNOWN_KEYS_LIMIT and len(key) <= _KNOWN_KEY_LENGTH:
            self.verdicts[key] = verdict
        return verdict


def any_of(parts: Iterable[str]) -> str:
    """
    Return a pattern for *parts* of key names, with separators between any two letters.

    Parts of up to three letters match literally, and never across the words of a name: "ssn" does
    not match "businessName".
    """
    patterns = [
        rf"(?-i:{'|'.join(re.escape(form) for form in (part, part.capitalize(), part.upper()))})"
        if len(part) <= 3
        else r"[_\-. ]{0,3}".join(map(re.escape, part))
        for part in parts
    ]
    # The pattern begins with the first letters alone: that check rules out most places of a text.
    initials = "".join(sorted({re.escape(part[0]) for part in parts}))
    return rf"(?=[{initials}])(?:{'|'.join(patterns)})" if patterns else r"(?!)"
