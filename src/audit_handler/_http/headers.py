"""Headers by name."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["by_name"]


def by_name(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return *headers* by lower-case name, with the values of repeated headers joined."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key in found:
            value = f"{found[key]}{'; ' if key == 'cookie' else ', '}{value}"
        found[key] = value
    return found
