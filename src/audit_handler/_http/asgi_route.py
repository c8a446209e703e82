"""
What the routers of an ASGI application have read, or are going to read, from a request's path.

Those of Starlette, FastAPI and their like can be asked once more. Of others is known what they have
put into the scope.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

__all__ = ["own_path", "path_params", "template"]

Scope = MutableMapping[str, Any]


def own_path(scope: Scope) -> str:
    """Return the application's own path, without the one that a proxy in front of it took off."""
    root: str = scope.get("app_root_path", scope.get("root_path", ""))
    path: str = scope["path"]
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def template(scope: Scope) -> str:
    """
    Return the template of the route that was matched, or nothing.

    Raises whatever a route raises when it is asked, and so does `path_params`.
    """
    own: str = getattr(scope.get("route"), "path", "")
    router = scope.get("router")
    if router is None or "endpoint" not in scope or (own and "app_root_path" not in scope):
        return own
    # 1. A mounted router tells its own part of the template only, 2. older ones tell none.
    return _asked(scope, scope["path"])[0]


def path_params(scope: Scope) -> Mapping[str, Any]:
    """Return the parameters by name."""
    known: Mapping[str, Any] = scope.get("path_params") or {}
    endpoint = scope.get("endpoint")
    if endpoint is not None and not hasattr(endpoint, "routes"):
        return known
    # 1. No router has decided yet, 2. nothing is found, 3. it redirects to or from a final slash.
    path = scope["path"]
    _, params, is_found = _asked(scope, path)
    if not is_found:
        other = path.rstrip("/") if path.endswith("/") else f"{path}/"
        params = {**_asked(scope, other)[1], **params}
    return {**known, **params}


def _asked(scope: Scope, path: str) -> tuple[str, Mapping[str, Any], bool]:
    """
    Ask the routers once more: return the template and parameters of *path*, and whether the last
    one has found a route.
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
    """Return the routes of *router* if they are of the kind that can be asked, like Starlette's."""
    routes = getattr(router, "routes", None)
    if routes and isinstance(routes, Sequence) and hasattr(routes[0], "matches"):
        return routes
    return ()
