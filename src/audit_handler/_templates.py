"""How the template of a route is written, whatever the framework."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["template"]

_VARIABLE = re.compile(r"<(?:([a-zA-Z_]\w*)(?:\(.*?\))?:)?([a-zA-Z_]\w*)>")


@lru_cache(maxsize=1024)
def template(rule: str) -> str:
    """
    Return a route as Starlette has it, so that those of all frameworks can be asked for alike:
    Flask's ``/api/orders/<int:order_id>`` becomes ``/api/orders/{order_id:int}``.
    """

    def variable(match: re.Match[str]) -> str:
        converter, name = match.groups()
        return f"{{{name}:{converter}}}" if converter not in (None, "string") else f"{{{name}}}"

    return _VARIABLE.sub(variable, rule)
