"""Route templates, in one spelling for all frameworks."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["route_template"]

_VARIABLE = re.compile(r"<(?:([a-zA-Z_]\w*)(?:\(.*?\))?:)?([a-zA-Z_]\w*)>")


@lru_cache(maxsize=1024)
def route_template(route: str) -> str:
    """
    Return *route* as Starlette writes it, so that one rule matches the routes of every framework.

    Flask's ``/api/orders/<int:order_id>`` becomes ``/api/orders/{order_id:int}``. A template in
    Starlette's form is returned unchanged.
    """

    def variable(match: re.Match[str]) -> str:
        converter, name = match.groups()
        return f"{{{name}:{converter}}}" if converter not in (None, "string") else f"{{{name}}}"

    return _VARIABLE.sub(variable, route)
