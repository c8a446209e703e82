"""Say where in a value something was redacted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audit_handler._record.redaction.values import REDACTED

__all__ = ["redacted_paths"]


def redacted_paths(before: Any, after: Any, path: str) -> Iterator[str]:
    """
    Yield the path of each value of *after* that was redacted: ``request_body.users[0].password``.

    Args:
        before: The value; another thread may have changed it since.
        after: What is stored of it.
        path: Where it is.
    """
    if type(after) is dict and isinstance(before, dict):
        for (name, item), original in zip(after.items(), before.values(), strict=False):
            yield from redacted_paths(original, item, f"{path}.{name}" if path else name)
    elif type(after) is list and isinstance(before, list | tuple):
        for index, (item, original) in enumerate(zip(after, before, strict=False)):
            yield from redacted_paths(original, item, f"{path}[{index}]")
    elif type(after) is str and REDACTED in after and after != before:
        yield path
