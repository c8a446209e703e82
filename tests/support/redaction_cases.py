"""
Made-up secrets, and innocents that look like them.

A secret is a value that must not be readable in the stored row. An innocent is what an auditor
needs, and what rules that search for parts of words take away: kinds and ids of tokens, states of
passwords, ARNs, decisions, hashes, counts, JSON text byte for byte.

    for group, name, what, secret in secrets():
        assert not leaks(stored(what), secret)
    for group, name, what, value in innocents():
        assert shows(stored(what), value)

*what* is the text of a message, or a dict of extras. The values are made when the cases are read,
each from a seed of its own, so a new case does not change the values of the others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple, TypeAlias

from audit_handler.testing import capture_audits
from tests.support.redaction import (
    innocents_about_passwords,
    innocents_about_secrets,
    innocents_among_values,
    innocents_beside_secrets,
    innocents_in_texts,
    secrets_beside_labels,
    secrets_by_name,
    secrets_by_shape,
    secrets_in_addresses,
    secrets_in_markup,
    secrets_in_statements,
    secrets_in_texts,
)
from tests.support.redaction.judging import leaks, shows
from tests.support.redaction.values import Listed, password

__all__ = ["REDACT_KEYS", "Case", "What", "innocents", "leaks", "secrets", "shows", "stored"]

REDACT_KEYS = ("contrase\u00f1a",)
"""Each case is stored with this option of the handler, and otherwise with its defaults."""

# The handler fills these in by itself.
_FILLED_IN = ("event_time", "event_id", "level", "logger", "writer_id", "seq")

What: TypeAlias = "str | dict[str, Any]"


class Case(NamedTuple):
    """One secret or innocent, and the event that holds it."""

    group: str
    name: str
    what: What
    text: str
    """The secret or the innocent itself."""

    def __str__(self) -> str:
        return f"{self.group}: {self.name}"  # for parametrize(..., ids=str)


def secrets() -> Iterator[Case]:
    """Yield the cases whose text must not be readable in the row that is stored of *what*."""
    for theme in (
        secrets_by_name,
        secrets_by_shape,
        secrets_in_addresses,
        secrets_in_statements,
        secrets_beside_labels,
        secrets_in_markup,
        secrets_in_texts,
    ):
        yield from _made(theme.SECRETS)


def innocents() -> Iterator[Case]:
    """Yield the cases whose text must be readable in the row that is stored of *what*."""
    for theme in (
        innocents_about_secrets,
        innocents_about_passwords,
        innocents_in_texts,
        innocents_among_values,
        innocents_beside_secrets,
    ):
        yield from _made(theme.INNOCENTS)


def stored(what: What, **options: Any) -> dict[str, Any]:
    """
    Return the row that is stored of *what*, without the columns that the handler fills in.

    Args:
        what: The text of a message, or a dict of extras.
        options: Options of the handler, in addition to ``REDACT_KEYS``.
    """
    message, extras = (what, {}) if isinstance(what, str) else ("m", what)
    with capture_audits(**{"redact_keys": REDACT_KEYS, **options}) as audits:
        logging.getLogger("cases").info("%s", message, extra={"action": "A", **extras})
    row = audits.one(action="A")
    return {column: value for column, value in row.items() if column not in _FILLED_IN}


def _made(listed: Listed) -> Iterator[Case]:
    for group, cases in listed.items():
        for name, what, *rest in cases:
            text = next((given for given in rest if isinstance(given, str)), "MADE")
            make = next((given for given in rest if callable(given)), password)
            value = make(Random(f"{group}: {name}"))
            whole, part = value if isinstance(value, tuple) else (value, value)
            yield Case(group, name, _filled(what, whole), text.replace("MADE", part))


def _filled(what: Any, value: str) -> Any:
    """Put *value* in place of each MADE; #MADE asks for an integer."""
    if isinstance(what, dict):
        return {_filled(key, value): _filled(item, value) for key, item in what.items()}
    if isinstance(what, list):
        return [_filled(item, value) for item in what]
    if what == "#MADE":
        return int(value)
    return what.replace("MADE", value) if isinstance(what, str) else what
