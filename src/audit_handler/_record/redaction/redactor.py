"""
`Redactor`: keeps secrets out of a row.

A value is encoded unchanged, and its bytes are searched quickly: if they contain no mark of a
secret, there is nothing to redact, and these bytes are stored. If they do, texts under names that
were found to be secret before are replaced in the bytes. Only a value that is suspicious after that
goes through the rules, one name and one text at a time. A value that is not plain is first copied
into a plain one. The result is always a copy, so later changes to the original have no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import orjson

from audit_handler._options.patterns import checked_pattern
from audit_handler._process.imports import imported
from audit_handler._record.plain import (
    MAX_NODES,
    Raw,
    Unencodable,
    encode,
    encode_plain,
    is_plain,
    plain,
    printable,
)
from audit_handler._record.redaction.json_text import rewritten, with_objects, without_objects
from audit_handler._record.redaction.names import KIND, SecretNames
from audit_handler._record.redaction.options import Options
from audit_handler._record.redaction.values import REDACTED
from audit_handler._record.redaction.walk import Walk

if TYPE_CHECKING:
    # They take 40 ms to import, with their patterns and pydantic_core.
    from audit_handler._record.redaction.suspects import Suspects
    from audit_handler._record.redaction.text import SecretsInText

__all__ = ["SHORT", "Redactor"]

SHORT = 4096
"""Characters of a JSON text in which the secrets are replaced one name after the other."""


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
        self.names = names
        """Judges keys."""
        self._options = Options(names)
        self._patterns = tuple(map(checked_pattern, patterns))
        self._uses_rules = use_default_keys
        self._max_nodes = max_nodes

    def prepare(self) -> None:
        """Compile all patterns now (20 ms), and not for the first value."""
        _ = self.walk, self._texts

    @cached_property
    def suspects(self) -> Suspects:
        """The quick search of texts."""
        made: Suspects = imported("audit_handler._record.redaction.suspects").Suspects(
            self.names, self._patterns, use_rules=self._uses_rules
        )
        return made

    @cached_property
    def walk(self) -> Walk:
        """One pass over one value."""
        return Walk(
            self.names,
            self._options,
            clean=self.clean_text,
            clean_inner=self._clean_text,
            search=self.suspects.search,
            # Characters: "pw=123".
            shortest=0 if self._patterns or self._keys else 6,
        )

    @cached_property
    def _texts(self) -> SecretsInText:
        made: SecretsInText = imported("audit_handler._record.redaction.text").SecretsInText(
            self.names, self._options, self._patterns, use_shapes=self._uses_rules
        )
        return made

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
        return bool(self.names.judge(key) & KIND)

    def encode(self, value: Any, note: Callable[[Any, Any], None] | None = None) -> bytes:
        """
        Return the redacted, compact JSON of *value*: the same as that of `clean`, in less time.

        Args:
            value: Any value.
            note: Called with the value, and what is left of it, if it was redacted.

        Raises:
            Unencodable: *value* is a text with lone surrogates. Inside objects they are replaced.
        """
        copy = None
        try:
            if not is_plain((value,), self._max_nodes):
                raise Unencodable
            encoded = encode_plain(value)
        except Unencodable:
            if type(value) is str:
                raise
            copy = plain(value, self._max_nodes)
            encoded = encode(copy)
        shown = self._quickly(encoded)
        if shown is None or (note is not None and shown is not encoded):
            # Not the value, which another thread may have changed since.
            value = orjson.loads(encoded) if copy is None else copy
            try:
                redacted = self.walk.redacted(value)
            except RecursionError:
                redacted = self.clean(value)
            shown = encode(redacted)
            if note is not None:
                note(value, redacted)
        return shown

    def encode_members(
        self, values: dict[str, Any], note: Callable[[str, Any, Any], None] | None = None
    ) -> bytes:
        """
        Return the redacted, compact JSON of *values*, each of which is redacted by itself.

        Args:
            values: Any values, by names that are no names of secrets.
            note: Called with the name of each value that was redacted, the value, and what is
                left of it.

        Raises:
            Unencodable: One of *values* is a text with lone surrogates. Inside objects they are
                replaced.
        """
        if note is None and is_plain([*values.values()], self._max_nodes):
            with suppress(Unencodable):
                # All together: most of the time goes into the calls.
                shown = self._quickly(encode_plain(values))
                if shown is not None:
                    return shown
        return encode_plain(
            {
                name: Raw(self.encode(value, note and partial(note, name)))
                for name, value in values.items()
            }
        )

    def _quickly(self, encoded: bytes) -> bytes | None:
        """
        Return a compact JSON text without its secrets if all of them are texts under names that are
        known to be secret, or None.
        """
        suspects = self.suspects
        text = encoded.decode()
        # Most need the first search only.
        if not (
            suspects.search(text)
            or (("\\" in text or not text.isascii()) and suspects.may_be_in_json(text))
        ):
            return encoded
        if len(text) > SHORT or '\\"' in text:
            return None
        hidden = self.walk.hidden
        for _, before, verdict in self.names.usual:
            start = text.find(before)
            while start >= 0:
                start += len(before)
                end = text.index('"', start)
                value = text[start:end]
                if "\\" not in value and hidden(value, verdict) is REDACTED:
                    text = f"{text[:start]}{REDACTED}{text[end:]}"
                start = text.find(before, start)
        return None if suspects.may_be_in_json(text) else text.encode()

    def clean_texts(self, texts: dict[str, str]) -> dict[str, str]:
        """Return *texts*, by column, without their secrets. The columns are not looked at."""
        # One search of all texts together: starting a search costs more than searching.
        suspects, text = self.suspects, '"'.join(texts.values())
        if suspects.search(text) or (not text.isascii() and suspects.may_be_in(text)):
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
            return self.walk.redacted(copy)
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
        suspects = self.suspects
        if not suspects.may_be_in(text) or suspects.is_clean(text):
            return text
        is_json = text.lstrip("\ufeff \t\r\n")[:1] in ("{", "[", '"')
        walk = self.walk.inner(depth + 1)
        if is_json:
            if walk is None:
                return REDACTED  # nobody looks that deep
            if (json_text := rewritten(text, walk.redacted)) is not None:
                return json_text
        objects: list[str] = []
        redacted = self._texts.redact_shapes(text)
        if walk and ("{" in redacted or "[" in redacted):
            # Behind a prefix, one on each line, or cut: a label may be far from its value.
            redacted, objects = without_objects(redacted, walk.redacted)
        redacted = with_objects(self._texts.redact(redacted), objects)
        if redacted == text and not is_json:
            suspects.remember(text)
        return redacted
