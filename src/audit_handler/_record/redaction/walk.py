"""Redact a plain value: values under secret keys, values beside secret labels, secrets in texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from audit_handler._record.plain import ATOMS
from audit_handler._record.redaction.json_text import Literal, Members, rewritten
from audit_handler._record.redaction.names import (
    COUNTS,
    GIVEN,
    KIND,
    LABEL,
    LOOK,
    PASSWORD,
    RIGHTS,
    TEXT,
    TOKEN,
    TOKENS,
    VALUE,
    SecretNames,
)
from audit_handler._record.redaction.options import Options
from audit_handler._record.redaction.shapes import UUID, is_user_and_password
from audit_handler._record.redaction.values import (
    REDACTED,
    is_about_a_secret,
    is_surely_secret,
    stays,
)

__all__ = ["Walk"]

_NAME = re.compile(r"[\w.\-\[\]: /]{1,64}(?: \([\w .-]{1,40}\))?")
_MADE = re.compile(r"(?=\S*\d)\S{8,}|\S{16,}")
_SENTENCE = re.compile(r"[A-Za-z][a-z']*(?: [a-z']+)+[.!]?")
_LONGEST_LABEL = 128
# Labels that are something else as a rule, and so need a word that is nothing else.
_WEAK_LABELS = frozenset({"type", "id", "title", "path", "loc"})
_STRONG_VALUES = frozenset({"value", "values", "oldvalue", "newvalue", "input"})
# What stands beside the code of OAuth (RFC 6749).
_BESIDE_CODE = frozenset(
    {"granttype", "redirecturi", "clientid", "sessionstate", "iss", "codeverifier"}
)
_LONG_CODE = 12
# At least two names with their values.
_FEWEST_RAW_HEADERS = 4
_SECRET_HEADERS = tuple(
    spelling
    for name in ("Cookie", "Set-Cookie", "Authorization", "Proxy-Authorization", "X-Api-Key")
    for spelling in (name, name.lower())
)
# And no name of another header.
_HEADER_VALUE = re.compile(r"[= ]|\d")
# The private members of a key (RFC 7518, sections 6.2.2, 6.3.2 and 6.4).
_PRIVATE_MEMBERS = frozenset({"k", "d", "p", "q", "dp", "dq", "qi"})
# JSON in JSON in JSON.
_MAX_JSON_DEPTH = 10


def _joined(name: str) -> str:
    return name.lower().replace("_", "")


def _is_sentence(value: Any) -> bool:
    """Return whether *value* says what is wrong: {"password": ["This field is required."]}."""
    return type(value) is str and _SENTENCE.fullmatch(value) is not None


class Walk:
    """
    One pass over one value. Returns copies, except of what stays as it is.

    Args:
        names: Judge the keys.
        options: Find the secrets in lists of arguments.
        clean: Removes the secrets from a text of the value.
        clean_inner: Removes the secrets from any text, in so many JSON texts.
        search: Returns whether there may be a secret in a text of ASCII; saves calls of *clean*.
        shortest: The fewest characters that have room for a name and a value.
        depth: In how many JSON texts the value is.
    """

    __slots__ = ("_clean", "_clean_inner", "_depth", "_names", "_options", "_search", "_shortest")

    def __init__(
        self,
        names: SecretNames,
        options: Options,
        *,
        clean: Callable[[str], str],
        clean_inner: Callable[[str, int], str],
        search: Callable[[str], bool],
        shortest: int,
        depth: int = 0,
    ) -> None:
        self._names = names
        self._options = options
        self._clean = clean
        self._clean_inner = clean_inner
        self._search = search
        self._shortest = shortest
        self._depth = depth

    def redacted(self, value: Any) -> Any:
        """
        Return *value*, a plain value or one that `json_text.parsed` returned, without its secrets.

        Raises:
            RecursionError: It is too deep.
        """
        kind = type(value)
        if kind is str:
            return self._clean(value)
        if kind is dict:
            return self._dict(value)
        if kind is list or kind is tuple:
            return self._list(value)
        if kind is Members:
            return Members(self._members(value))
        return value

    def _dict(self, value: dict[str, Any]) -> dict[str, Any]:
        # Nearly all values are simple, and calls cost more than everything else.
        verdicts, search, shortest = self._names.verdicts, self._search, self._shortest
        copy = value.copy()
        found = 0
        for name, item in value.items():
            verdict = verdicts.get(name)
            if verdict is None:
                verdict = self._names.judge(name)
            kind = type(item)
            if verdict:
                found |= verdict
                if verdict & KIND:
                    copy[name] = self.hidden(item, verdict)
                    continue
            if kind is str:
                # A word alone holds no secret; own patterns may find one.
                is_word = shortest and (len(item) < shortest or item.isalpha())
                if not (is_word or (item.isascii() and not search(item))):
                    copy[name] = self._clean(item)
            elif kind is dict:
                copy[name] = self._dict(item)
            elif kind not in ATOMS:
                copy[name] = self.redacted(item)
        if found & (VALUE | LOOK | TEXT) or not shortest:
            if found & (VALUE | LOOK):
                copy = dict(self._beside(value.items(), copy.items(), found))
            if found & TEXT or not shortest:
                copy = self._with_clean_names(copy)
        return copy

    def _with_clean_names(self, value: dict[str, Any]) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        for number, (name, item) in enumerate(value.items()):
            shown = self._clean(name)
            # Two names may be the same without their secrets.
            copy[f"{shown} ({number})" if shown in copy else shown] = item
        return copy

    def _members(self, pairs: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
        copy = []
        found = 0
        for name, item in pairs:
            verdict = self._names.judge(name)
            found |= verdict
            shown = self.hidden(item, verdict) if verdict & KIND else self.redacted(item)
            is_plain = self._shortest and not verdict & TEXT
            copy.append((name if is_plain else self._clean(name), shown))
        return list(self._beside(pairs, copy, found)) if found & (VALUE | LOOK) else copy

    def _beside(
        self,
        originals: Iterable[tuple[str, Any]],
        redacted: Iterable[tuple[str, Any]],
        found: int,
    ) -> Iterable[tuple[str, Any]]:
        """Return *redacted* without the values that are secret because of others beside them."""
        originals = list(originals)
        if found & LOOK:
            redacted = self._looked_at(originals, redacted)
        if found & VALUE and found & LABEL and (label := self._label(originals)):
            return [
                (shown, self.hidden(item, label) if self._names.judge(name) & VALUE else clean)
                for (name, item), (shown, clean) in zip(originals, redacted, strict=True)
            ]
        return redacted

    def _label(self, pairs: Sequence[tuple[str, Any]]) -> int:
        """Return the verdict on the secret name that a label among *pairs* holds, or 0."""
        judge = self._names.judge
        names = {_joined(name) for name, _ in pairs}
        is_certain = not _STRONG_VALUES.isdisjoint(names) or {"old", "new"} <= names
        for name, item in pairs:
            if not judge(name) & LABEL:
                continue
            for part in item if type(item) in (list, tuple) else (item,):
                if type(part) is str and len(part) <= _LONGEST_LABEL and _NAME.fullmatch(part):
                    # "Password (guest)".
                    verdict = judge(part.partition(" (")[0])
                    # {"type": "otp", "from": "1.2.3.4", "to": "app"} has no label.
                    if verdict & KIND and (is_certain or name.lower() not in _WEAK_LABELS):
                        return verdict
        return 0

    def _looked_at(
        self, pairs: Sequence[tuple[str, Any]], copy: Iterable[tuple[str, Any]]
    ) -> list[tuple[str, Any]]:
        """Return *copy* without what is secret because of what stands beside it."""
        beside = {_joined(name): item for name, item in pairs}
        hidden: set[str] = set()
        code = beside.get("code")
        if (
            type(code) is str
            and not code.isupper()
            and (
                # {"code": "US", "state": "CA"} is an address.
                not _BESIDE_CODE.isdisjoint(beside)
                or ("state" in beside and len(code) >= _LONG_CODE)
            )
        ):
            hidden.add("code")
        if type(beside.get("kty")) is str:
            hidden |= _PRIVATE_MEMBERS
        if beside.get("kind") in ("Secret", "SecretList"):
            # Each value of a Secret is one (Kubernetes), whatever its name.
            copy = [
                (name, self.hidden(item, TOKEN) if name in ("data", "stringData") else item)
                for name, item in copy
            ]
        auth = beside.get("auth")
        if type(auth) is str and is_user_and_password(auth):
            hidden.update(("auth", "_auth"))
        secret_id = beside.get("secretid")
        if type(secret_id) is str and "roleid" in beside and UUID.fullmatch(secret_id):
            hidden.update(("secret_id", "secretid"))
        if "ciphertextblob" in beside:
            hidden.add("plaintext")
        columns = beside.get("columns")
        if type(columns) is list and all(type(column) is str for column in columns):
            verdicts = [self._names.judge(column) for column in columns]
            if any(verdict & KIND for verdict in verdicts):
                return [(name, self._rows(item, verdicts)) for name, item in copy]
        return [
            (name, REDACTED if name.lower() in hidden and item else item) for name, item in copy
        ]

    def _rows(self, rows: Any, verdicts: Sequence[int]) -> Any:
        """Return *rows* of a table without the cells of its secret columns."""
        if type(rows) is not list:
            return rows
        return [
            [
                self.hidden(cell, verdict) if verdict & KIND else cell
                for cell, verdict in zip(row, verdicts, strict=True)
            ]
            if type(row) is list and len(row) == len(verdicts)
            else row
            for row in rows
        ]

    def hidden(self, value: Any, verdict: int) -> Any:
        """Return what stays of *value*, which a name of *verdict* says is secret."""
        kind = type(value)
        secret = verdict & KIND
        if secret == GIVEN:
            return value if value is None or value in ("", [], {}) else REDACTED
        if kind is str:
            if is_surely_secret(value, verdict):
                return REDACTED
            if value[:1] in ("{", "["):
                walk = self.inner(self._depth + 1)
                shown = walk and rewritten(value, lambda json: walk.hidden(json, verdict))
                if shown is not None:
                    return shown
            return value if stays(value, verdict) else REDACTED
        if kind is dict or kind is Members:
            if secret == RIGHTS:
                return self.redacted(value)
            if kind is dict:
                return self._with_clean_names(dict(self._hidden_members(value.items(), verdict)))
            copy = self._hidden_members(value, verdict)
            return Members((self._clean(name), item) for name, item in copy)
        if kind is list or kind is tuple:
            # A list of numbers is no list of counts.
            inner = verdict if secret == TOKEN else verdict & ~COUNTS
            return [
                item if secret == PASSWORD and _is_sentence(item) else self.hidden(item, inner)
                for item in value
            ]
        if kind is Literal:
            return value if verdict & COUNTS else REDACTED
        return value if stays(value, verdict) else REDACTED

    def _hidden_members(
        self, pairs: Iterable[tuple[str, Any]], verdict: int
    ) -> Iterator[tuple[str, Any]]:
        for name, item in pairs:
            own = self._names.judge(name)
            if own & KIND:
                shown = self.hidden(item, own)
            elif is_about_a_secret(name) or (
                # {"tokens": {"part": "Var_GET"}}: those that a parser found.
                verdict & TOKENS and type(item) is str and not _MADE.fullmatch(item)
            ):
                shown = self.redacted(item)
            else:
                shown = self.hidden(item, verdict)
            yield name, shown

    def inner(self, depth: int) -> Walk | None:
        """Return a walk over what is in *depth* JSON texts, or None if that is too deep."""
        if depth > _MAX_JSON_DEPTH:
            return None
        clean = self._clean_inner
        return Walk(
            self._names,
            self._options,
            clean=lambda text: clean(text, depth),
            clean_inner=clean,
            search=self._search,
            shortest=self._shortest,
            depth=depth,
        )

    def _list(self, value: Sequence[Any]) -> list[Any]:
        copy: list[Any] = []
        has_option = False
        for item in value:
            kind = type(item)
            if kind is dict:
                copy.append(self._dict(item))
            elif kind in ATOMS:
                copy.append(item)
            elif kind is str:
                has_option = has_option or item.startswith("-")
                copy.append(self._clean(item))
            elif (kind is list or kind is tuple) and 2 <= len(item) <= 3:
                copy.append(self._pair(item))
            else:
                copy.append(self.redacted(item))
        if has_option or (
            len(copy) > 1 and type(copy[0]) is str and self._options.is_command(copy[0])
        ):
            return self._options.redacted(copy)
        if len(copy) >= _FEWEST_RAW_HEADERS and copy[0] is value[0] and type(copy[0]) is str:
            return self._without_headers(copy)
        return copy

    def _without_headers(self, values: list[Any]) -> list[Any]:
        """Return a list of names and values in turn (Node's *rawHeaders*) without secret ones."""
        return [
            REDACTED
            if index % 2
            and type(item) is str
            and (item_name := values[index - 1]) in _SECRET_HEADERS
            and self._names.judge(item_name) & KIND
            and _HEADER_VALUE.search(item)
            else item
            for index, item in enumerate(values)
        ]

    def _pair(self, value: Sequence[Any]) -> Any:
        """
        Return a list in a list: ``["authorization", "..."]``, ``["password", "old", "new"]``,
        ``["change", "user.password", ["old", "new"]]``.
        """
        for index, name in enumerate(value[:-1]):
            if type(name) is str and _NAME.fullmatch(name):
                verdict = self._names.judge(name)
                if verdict & KIND:
                    rest = (self.hidden(item, verdict) for item in value[index + 1 :])
                    return [*value[: index + 1], *rest]
        return self._list(value)
