"""Check the patterns that an application gives for secrets of its own."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

# The parser of `re`, under the name that it has on each version.
_VERSION = sys.version_info >= (3, 11)
constants: Any = import_module("re._constants" if _VERSION else "sre_constants")
parser: Any = import_module("re._parser" if _VERSION else "sre_parse")

__all__ = ["checked_pattern"]

# Places in a text that the repetitions of a pattern may try from one beginning, all together: one
# without a limit and some short ones.
_MOST_TRIES = 1 << 20
_NO_LIMIT = 1 << 16
_REPEATS = frozenset({constants.MAX_REPEAT, constants.MIN_REPEAT})


def checked_pattern(pattern: str) -> re.Pattern[str]:
    """
    Return *pattern*, compiled.

    Raises:
        ValueError: It is no pattern, matches the empty text, or may take too long: ``(a+)+``,
            ``(a|ab)*``, ``\\d+\\d+x``. The text completes "... which" with problem and remedy.
    """
    try:
        compiled = re.compile(pattern)
        parsed = parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as exc:
        raise ValueError(f"is no regular expression ({exc})") from exc
    if parsed.getwidth()[0] == 0:
        raise ValueError("matches the empty text; let it match the whole secret")
    if _tries(parsed, is_repeated=False) > _MOST_TRIES:
        raise ValueError(
            "may take too long in a hostile text; repeat nothing that is repeated or has "
            "alternatives itself, and give all repetitions but one a limit, as in {1,40}"
        )
    return compiled


def _tries(nodes: Iterable[Any], *, is_repeated: bool) -> int:
    """
    Return how many ways there are at most to match *nodes* from one beginning.

    Args:
        nodes: Of a parsed pattern.
        is_repeated: Whether they are in a repetition.
    """
    tries = 1
    for operator, argument in nodes:
        inside = is_repeated
        if operator in _REPEATS:
            least, most = int(argument[0]), min(int(argument[1]), _NO_LIMIT)
            if least != most:
                if is_repeated:
                    return _MOST_TRIES + 1
                tries *= most - least + 1
            inside = is_repeated or most > 1
        elif is_repeated and operator in (constants.BRANCH, constants.GROUPREF):
            return _MOST_TRIES + 1
        for each in _inside(argument):
            tries *= _tries(each, is_repeated=inside)
    return tries


def _inside(argument: Any) -> list[Any]:
    """Return the patterns in the argument of a node."""
    if isinstance(argument, parser.SubPattern):
        return [argument]
    if isinstance(argument, tuple | list):
        return [pattern for part in argument for pattern in _inside(part)]
    return []
