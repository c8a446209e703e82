"""
Keep secrets out of the row: values under secret keys, and secrets in texts.

A value is encoded unchanged, and its bytes are searched quickly: if they contain no part of a
secret name, there is nothing to redact, and these bytes are stored. Only a suspicious value goes
through the rules, one key and one text at a time. A value that is not plain is first copied into a
plain one. The result is always a copy, so later changes to the original have no effect.
"""

from __future__ import annotations

import json
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
    printable,
)
from audit_handler._record.secret_names import DEFAULT_KEYS, LABEL, SECRET, VALUE, SecretNames
from audit_handler._record.secrets_in_text import REDACTED, SecretsInText, without_userinfo
from audit_handler._record.suspects import Suspects

__all__ = ["REDACTED", "Redactor"]


class Redactor:
    """
    Cleans values. Its only state is a cache of key names, so one instance serves all threads.

    Args:
        keys: Parts of key names to redact in addition to the default ones.
        use_default_keys: False redacts *keys* only.
        max_nodes: Values visited in one object before the rest is cut. This bounds the time for a
            hostile object.
    """

    def __init__(
        self, keys: Iterable[str] = (), *, use_default_keys: bool = True, max_nodes: int = MAX_NODES
    ) -> None:
        names = SecretNames((*(DEFAULT_KEYS if use_default_keys else ()), *keys))
        self._parts = names.parts
        self._verdicts = names.verdicts
        self._judge = names.judge
        self._texts = SecretsInText(names)
        self._suspects = Suspects(names.parts).indexes
        self._max_nodes = max_nodes

    def is_secret(self, key: str) -> bool:
        """Return whether to redact the value of *key*."""
        verdict = self._verdicts.get(key)
        return (self._judge(key) if verdict is None else verdict) == SECRET

    def encode(self, values: Sequence[Any]) -> list[bytes]:
        """
        Return the redacted, compact JSON of each of *values*: the same as that of `clean`, in less
        time.

        Raises:
            Unencodable: One of *values* is a text with lone surrogates. Inside objects they are
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

        Never raises: a text in angle brackets replaces a value that cannot be read.
        """
        return self._redacted(plain(value, self._max_nodes))

    def text_of(self, value: Any) -> str:
        """Return the redacted copy of *value* as text: text unchanged, any other value as JSON."""
        copy = self.clean(value)
        return printable(copy) if type(copy) is str else encode(copy).decode()

    def clean_text(self, text: str) -> str:
        """
        Return *text* with its secrets redacted: by keys if it is JSON, else by patterns.

        A text that contains secrets and is not JSON is cut to 1,048,576 characters.
        """
        # The quick check first: without one of these signs the text has no pair of any form.
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
            text = without_userinfo(text)
        joined = _joined(text)
        for part in self._parts:
            if part in joined:
                return self._clean_suspect(text)
        return text

    def _clean_suspect(self, text: str) -> str:
        """Clean a text that contains a part of a secret name."""
        if text.lstrip()[:1] in ("{", "[", '"'):
            try:
                return encode(self.clean(json.loads(text))).decode()
            except (ValueError, RecursionError):
                pass  # not JSON, or cut off
        return self._texts.redact(text)

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
            # The application's own stack left too few frames.
            return f"<unreadable {kind.__name__}: RecursionError>"
        # Another thread has just put a value there that is not plain.
        return value if kind in ATOMS else self.clean(value)

    # The two loops handle keys and simple values inline: nearly all values are simple, and calls
    # cost more than everything else.

    def _redacted_dict(self, value: dict[str, Any]) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        verdicts = self._verdicts
        found = 0
        for name, item in value.items():
            verdict = verdicts.get(name)
            if verdict is None:
                verdict = self._judge(name)
            found |= verdict
            kind = type(item)
            if verdict == SECRET:
                copy[name] = REDACTED
            elif kind is str:
                # A text of only letters and digits contains no pair.
                copy[name] = item if item.isalnum() else self.clean_text(item)
            else:
                copy[name] = item if kind in ATOMS else self._redacted(item)
        if found & LABEL and found & VALUE:
            self._redact_labelled(copy)
        return copy

    def _redact_labelled(self, copy: dict[str, Any]) -> None:
        """Redact the values of *copy* if a label in it names a secret."""
        if any(self._judge(n) == LABEL and self._is_secret_label(v) for n, v in copy.items()):
            copy.update((n, REDACTED) for n in copy if self._judge(n) == VALUE)

    def _is_secret_label(self, label: Any) -> bool:
        """Return whether *label*, a name or a path as a list, names a secret."""
        parts = label if type(label) is list else (label,)
        return any(type(part) is str and self.is_secret(part) for part in parts)

    def _redacted_list(self, value: Sequence[Any]) -> list[Any]:
        copy: list[Any] = []
        for item in value:
            kind = type(item)
            # [["authorization", "..."], ...]: headers and form fields are pairs as often as dicts.
            if (
                (kind is list or kind is tuple)
                and len(item) == 2
                and type(item[0]) is str
                and self.is_secret(item[0])
            ):
                # The first text may be a message about a secret instead of a key: "password=...".
                copy.append([self.clean_text(item[0]), REDACTED])
            else:
                copy.append(item if kind in ATOMS else self._redacted(item))
        return copy


def _joined(text: str) -> str:
    """Return *text* in lower case without separators; str.translate takes seven times as long."""
    return text.lower().replace("_", "").replace("-", "").replace(".", "").replace(" ", "")
