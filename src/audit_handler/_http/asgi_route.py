"""
The route and the path parameters of a request to an ASGI application.

The routers of Starlette, FastAPI and similar frameworks can match a path, even before they have
routed the request. For other routers, only the values in the scope are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from audit_handler._http.asgi_types import Scope

__all__ = ["own_path", "path_params", "template"]


def own_path(scope: Scope) -> str:
    """Return the application's own path, without the prefix that a proxy removed from it."""
    root: str = scope.get("app_root_path", scope.get("root_path", ""))
    path: str = scope["path"]
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def template(scope: Scope) -> str:
    """
    Return the template of the route that matched, or an empty text.

    Passes on any exception that a route raises in ``matches``.
    """
    own: str = getattr(scope.get("route"), "path", "")
    router = scope.get("router")
    if router is None or "endpoint" not in scope or (own and "app_root_path" not in scope):
        return own
    # 1. A mounted router knows only its part of the template. 2. Older routers set no template.
    return _asked(scope, scope["path"])[0]


def path_params(scope: Scope) -> Mapping[str, Any]:
    """
    Return the path parameters by name.

    Passes on any exception that a route raises in ``matches``.
    """
    known: Mapping[str, Any] = scope.get("path_params") or {}
    endpoint = scope.get("endpoint")
    if endpoint is not None and not hasattr(endpoint, "routes"):
        return known
    # 1. No router has decided yet. 2. There is no route. 3. The router redirects to the path with,
    # or without, a final slash.
    path = scope["path"]
    _, params, is_found = _asked(scope, path)
    if not is_found:
        other = path.rstrip("/") if path.endswith("/") else f"{path}/"
        params = {**_asked(scope, other)[1], **params}
    return {**known, **params}


def _asked(scope: Scope, path: str) -> tuple[str, Mapping[str, Any], bool]:
    """
    Match *path* with the routers. Return template, parameters, and whether the last router found a
    route.
    """
    root = scope.get("app_root_path", scope.get("root_path", ""))
    asked: Scope = {**scope, "path": path, "root_path": root, "path_params": {}}
    found: Any = scope.get("router") or scope.get("app")
    found_template = ""
    while routes := _routes(found):
        match, found, more = 0, None, {}
        for route in routes:
            kind, child = route.matches(asked)
            if kind.value > match:
                match, found, more = kind.value, route, child
        found_template += getattr(found, "path", "")
        asked.update(more)
    return found_template, asked["path_params"], found is not None


def _routes(router: Any) -> Sequence[Any]:
    """Return the routes of *router* if they have ``matches``, as Starlette's have, else none."""
    routes = getattr(router, "routes", None)
    if routes and isinstance(routes, Sequence) and hasattr(routes[0], "matches"):
        return routes
    return ()
