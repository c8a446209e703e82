"""Path patterns: how the paths of a rule match the path of a request."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["compile_paths"]


def compile_paths(paths: Iterable[str]) -> re.Pattern[str]:
    """
    Return a pattern whose ``match`` finds the beginning of a path that one of *paths* names.

    A path matches in whole segments: ``/api`` matches ``/api`` and ``/api/orders``, not ``/apis``.
    ``*`` stands for one segment or a part of one.
    """
    names = (re.escape(path.rstrip("/")).replace(r"\*", "[^/]*") for path in paths)
    return re.compile(rf"(?:{'|'.join(names)})(?:/|\Z)")
