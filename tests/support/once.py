"""The one Python that runs the tests marked *once*, and all examples of the random ones."""

from __future__ import annotations

import os
import sys

__all__ = ["examples", "other_python"]


def other_python() -> str:
    """Return the Python that runs the tests marked *once*, or nothing if this one does."""
    once_on = os.environ.get("AUDIT_TEST_ONCE_ON", "")
    return "" if once_on == "{}.{}".format(*sys.version_info) else once_on


def examples(number: int) -> int:
    """Return how many of *number* random examples this Python tries: all, or a fifth of them."""
    return number // 5 if other_python() else number
