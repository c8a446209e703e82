"""Forms and queries as dicts, whose keys the redactor can see."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

__all__ = ["MAX_FIELDS", "gathered", "is_form", "pairs"]

# Two pairs at least: one is also "E=mc2", and base64 ends with "=".
_FORM = re.compile(r"[\w.\-+%\[\]]+=[^\s&=]*(?:&[\w.\-+%\[\]]+=[^\s&=]*)+\s*", re.ASCII)
MAX_FIELDS = 1000
"""
Fields of a form or query. Forms for people have fewer, and each field costs time in the event loop.
"""


def is_form(text: str) -> bool:
    """Return whether *text* is a form and cannot be anything else."""
    return _FORM.fullmatch(text) is not None


def pairs(text: str) -> Any:
    """Return a form or query as a dict; a name that occurs several times has a list."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return f"<more than {MAX_FIELDS} fields, {len(text)} characters>"
    return gathered(pairs)


def gathered(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return *pairs* as a dict; a name that occurs several times has a list."""
    values: dict[str, list[Any]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: several if len(several) > 1 else several[0] for name, several in values.items()}
