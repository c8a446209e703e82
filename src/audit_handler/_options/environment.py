"""Read the environment. An empty variable counts as unset, and so does one of white space."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["given_in"]


def given_in(environ: Mapping[str, str], name: str) -> str:
    """
    Return the text of the variable *name* without white space around it (values from files often
    end with a line break); empty if it is unset.
    """
    return environ.get(name, "").strip()
