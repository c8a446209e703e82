"""
`Redactor`: keeps secrets out of a row.

A value is encoded unchanged, and its bytes are searched quickly: if they contain no mark of a
secret, there is nothing to redact, and these bytes are stored. Only a suspicious value goes through
the rules, one name and one text at a time. A value that is not plain is first copied into a plain
one. The result is always a copy, so later changes to the original have no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from audit_handler._options.patterns import checked_pattern
from audit_handler._record.plain import (
    MAX_NODES,
    Unencodable,
    encode,
    encode_plain,
    is_plain,
    plain,
    printable,
)
from audit_handler._record.redaction.names import KIND, SecretNames
from audit_handler._record.redaction.options import Options
from audit_handler._record.redaction.values import REDACTED
from audit_handler._record.redaction.walk import Walk, rewritten

if TYPE_CHECKING:
    # They take 40 ms to import, with their patterns and pydantic_core.
    from audit_handler._record.redaction.suspects import Suspects
    from audit_handler._record.redaction.text import SecretsInText

__all__ = ["Redactor"]


class Redactor:
    """
    Cleans values. Its only state is caches, so one instance serves all threads.

    Args:
        keys: Parts of key names to redact in addition to the default ones.
        exceptions: Names of keys to leave as they are.
        patterns: Regular expressions of more secrets in texts.
        use_default_keys: False redacts *keys* and *patterns* only.
        max_nodes: Values visited in one object before the rest is cut. This bounds the time for a
            hostile object.

    Raises:
        ValueError: One of *patterns* cannot be used; see `checked_pattern`.
    """

    def __init__(
        self,
        keys: Iterable[str] = (),
        *,
        exceptions: Iterable[str] = (),
        patterns: Iterable[str] = (),
        use_default_keys: bool = True,
        max_nodes: int = MAX_NODES,
    ) -> None:
        self._keys, self._exceptions = tuple(keys), tuple(exceptions)
        self._excepting: dict[tuple[str, ...], Redactor] = {}
        names = SecretNames(self._keys, self._exceptions, use_nouns=use_default_keys)
        self._names = names
        self._options = Options(names)
        self._patterns = tuple(map(checked_pattern, patterns))
        self._uses_rules = use_default_keys
        self._max_nodes = max_nodes

    def prepare(self) -> None:
        """Compile all patterns now (20 ms), and not for the first value."""
        _ = self._walk, self._texts

    @cached_property
    def _suspects(self) -> Suspects:
        from audit_handler._record.redaction.suspects import Suspects

        return Suspects(self._names, self._patterns, use_rules=self._uses_rules)

    @cached_property
    def _walk(self) -> Walk:
        return Walk(
            self._names,
            self._options,
            clean=self.clean_text,
            clean_inner=self._clean_text,
            search=self._suspects.search,
            # Characters: "pw=123".
            shortest=0 if self._patterns or self._keys else 6,
        )

    @cached_property
    def _texts(self) -> SecretsInText:
        from audit_handler._record.redaction.text import SecretsInText

        return SecretsInText(
            self._names, self._options, self._patterns, use_shapes=self._uses_rules
        )

    def excepting(self, names: tuple[str, ...]) -> Redactor:
        """Return the same redactor, for which the values of *names* are not secret."""
        # Names come from policies, so they are few.
        if names not in self._excepting:
            self._excepting[names] = Redactor(
                self._keys,
                exceptions=(*self._exceptions, *names),
                patterns=[pattern.pattern for pattern in self._patterns],
                use_default_keys=self._uses_rules,
                max_nodes=self._max_nodes,
            )
        return self._excepting[names]

    def is_secret(self, key: str) -> bool:
        """Return whether to redact the value of *key*."""
        return bool(self._names.judge(key) & KIND)

    def encode(
        self, values: Sequence[Any], note: Callable[[int, Any, Any], None] | None = None
    ) -> list[bytes]:
        """
        Return the redacted, compact JSON of each of *values*: the same as that of `clean`, in less
        time.

        Args:
            values: Any values.
            note: Called with the index of each value that was redacted, the value before, and what
                is left of it.

        Raises:
            Unencodable: One of *values* is a text with lone surrogates. Inside objects they are
                replaced.
        """
        copies: dict[int, Any] = {}
        try:
            if not is_plain(values, self._max_nodes):
                raise Unencodable
            encoded = list(map(encode_plain, values))
        except Unencodable:
            pairs = list(map(self._encode_one, values))
            copies = {index: copy for index, (copy, _) in enumerate(pairs) if copy is not None}
            encoded = [one for _, one in pairs]
        suspects = self._suspects
        search = suspects.search
        for index, one in enumerate(encoded):
            text = one.decode()
            # Most need the first search only.
            if search(text) or (
                ("\\" in text or not text.isascii()) and suspects.may_be_in_json(text)
            ):
                # Not the value, which another thread may have changed since.
                value = copies[index] if index in copies else orjson.loads(one)
                try:
                    redacted = self._walk.redacted(value)
                except RecursionError:
                    redacted = self.clean(value)
                encoded[index] = encode(redacted)
                if note is not None:
                    note(index, value, redacted)
        return encoded

    def _encode_one(self, value: Any) -> tuple[Any, bytes]:
        """
        Return a plain copy of *value*, or None if it is plain itself, and its JSON before any
        redaction.
        """
        if is_plain((value,), self._max_nodes):
            try:
                return None, encode_plain(value)
            except Unencodable:
                if type(value) is str:
                    raise
        copy = plain(value, self._max_nodes)
        return copy, encode(copy)

    def clean_texts(self, texts: dict[str, str]) -> dict[str, str]:
        """Return *texts*, by column, without their secrets. The columns are not looked at."""
        # One search of all texts together: starting a search costs more than searching.
        if self._suspects.may_be_in('"'.join(texts.values())):
            return {name: self.clean_text(text) for name, text in texts.items()}
        return texts

    def clean(self, value: Any) -> Any:
        """
        Return a plain copy of *value*, redacted: dicts with text keys, lists, text, numbers,
        booleans and None.

        Never raises: a text in angle brackets replaces a value that cannot be read.
        """
        copy = plain(value, self._max_nodes)
        try:
            return self._walk.redacted(copy)
        except RecursionError:
            # The application's own stack left too few frames.
            return f"<unreadable {type(value).__name__}: RecursionError>"

    def text_of(self, value: Any) -> str:
        """Return the redacted copy of *value* as text: text unchanged, any other value as JSON."""
        copy = self.clean(value)
        return printable(copy) if type(copy) is str else encode(copy).decode()

    def clean_text(self, text: str) -> str:
        """
        Return *text* without its secrets: by keys if it is JSON, else by all rules on texts.

        A text that contains secrets and is not JSON is cut to 1,048,576 characters.
        """
        return self._clean_text(text, 0)

    def _clean_text(self, text: str, depth: int) -> str:
        """Clean a text that is in so many JSON texts."""
        suspects = self._suspects
        if not suspects.may_be_in(text) or suspects.is_clean(text):
            return text
        is_json = text.lstrip("\ufeff \t\r\n")[:1] in ("{", "[", '"')
        if is_json:
            walk = self._walk.inner(depth + 1)
            if walk is None:
                return REDACTED  # nobody looks that deep
            if (json_text := rewritten(text, walk.redacted)) is not None:
                return json_text
        redacted = self._texts.redact(text)
        if redacted == text and not is_json:
            suspects.remember(text)
        return redacted
