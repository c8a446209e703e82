"""Split SQL, as ClickHouse prints it, at its commas."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["split_at_commas"]

_MARKS = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[(),]", re.DOTALL)


def split_at_commas(sql: str) -> Iterator[str]:
    """
    Yield the parts of *sql* between the commas that no parentheses or quotes enclose, up to a
    parenthesis that it does not open.
    """
    depth = start = 0
    for mark in _MARKS.finditer(sql):
        depth += (mark[0] == "(") - (mark[0] == ")")
        if depth < 0:
            yield sql[start : mark.start()].strip()
            return
        if mark[0] == "," and not depth:
            yield sql[start : mark.start()].strip()
            start = mark.end()
    yield sql[start:].strip()
