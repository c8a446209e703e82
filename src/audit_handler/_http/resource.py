"""What a request is about, as far as its path and its bodies tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from audit_handler._http.redactors import Redactors
from audit_handler._record.redaction import REDACTED

__all__ = ["id_in", "resource_of", "shown_path", "value_of"]

_VERSION = re.compile(r"v\d+(\.\d+)*")
_UUID = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)

_SHORTEST_PIECE = 4
# What is shorter is found by chance in other parts too, and they would be shown in pieces.


def shown_path(
    path: str,
    path_params: Mapping[str, Any] | None,
    redactors: Redactors,
    is_masked: Callable[[str], bool] = lambda _name: False,
) -> str:
    """
    Return *path* without the parameters whose names say that they are secret; nothing of it where
    the parameters are None, not known.
    """
    if path_params is None:
        return f"/{REDACTED}"
    secrets = {
        value
        for name, values in path_params.items()
        if redactors.is_secret(name) or is_masked(name)
        for value in str(values).split("/")
        if value
    }
    if not secrets:
        return redactors.clean_text(path)
    shapes = set(map(_shape, secrets))
    shown = [
        REDACTED if part and _shape(part) in shapes else _without(part, secrets)
        for part in path.split("/")
    ]
    return redactors.clean_text("/".join(shown))


def _shape(text: str) -> str:
    """Return what a converter for numbers or UUIDs leaves of *text*."""
    return text.lower().replace("-", "").lstrip("0")


def _without(part: str, secrets: Iterable[str]) -> str:
    """Return *part* without those that are but some of it: ``/{token}.json``."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_PIECE:
            part = part.replace(secret, REDACTED)
    return part


def resource_of(
    path: str,
    prefix: str,
    path_params: Mapping[str, Any] | None,
    redactors: Redactors,
    is_masked: Callable[[str], bool] = lambda _name: False,
) -> tuple[str, str, str, str]:
    """
    Return the path without secrets, the type, the id that follows it, and the last id before
    it.

    The type is the last segment that is no id: ``/api/v1/orders/17/items`` is about an item of
    order 17, ``/api/orders/17`` about the order. The last id before a plural is its owner's, and
    left out: what is known of ``/api/orders/17/items`` is not the item's id.

    Args:
        path: The application's own path.
        prefix: The beginning of it that the policy's rule names.
        path_params: What the router read from it, or None where it could not.
        redactors: What is secret.
        is_masked: Whether the policy masks a parameter of that name.
    """
    values = {part for value in (path_params or {}).values() for part in str(value).split("/")}
    shown = shown_path(path, path_params, redactors, is_masked)
    parts = _segments(shown.split("/"))
    shapes = [
        part.isdecimal() or REDACTED in part or _UUID.fullmatch(part) is not None for part in parts
    ]
    is_id = [shape or part in values for shape, part in zip(shapes, parts, strict=True)]
    inner = is_id[len(_segments(prefix.split("/"))) :]
    if (all(inner) and len(inner) > 1) or all(is_id):
        # A generic route: in /api/{kind}/{id} the kind is a parameter too.
        is_id = shapes
    last = max((at for at, flag in enumerate(is_id) if not flag), default=-1)
    parents = [part for part, flag in zip(parts[: max(last, 0)], is_id, strict=False) if flag]
    own_id = "/".join(parts[last + 1 :])
    resource_type = parts[last] if last >= 0 else ""
    parent_id = parents[-1] if parents and not resource_type.endswith("s") else ""
    return shown, resource_type, own_id, parent_id


def _segments(parts: Iterable[str]) -> list[str]:
    return [part for part in parts if part and not _VERSION.fullmatch(part)]


def id_in(sources: Iterable[Any], resource_type: str, redactors: Redactors) -> Any:
    """Return the id in the first object that has one: under ``id``, ``order_id``, ``ordersId``."""
    name = re.sub(r"[^a-z0-9]", "", resource_type.lower())
    singulars = {name, name.removesuffix("s"), name.removesuffix("es")}
    singulars.add(re.sub("ies$", "y", name))
    wanted = {f"{singular}id" for singular in singulars}
    for source in sources:
        if isinstance(source, dict):
            own = [key for key in source if re.sub(r"[_-]", "", key.lower()) in wanted]
            if found := value_of((source,), ("id", *own), redactors):
                return found
    return None


def value_of(sources: Iterable[Any], keys: Iterable[str], redactors: Redactors) -> Any:
    """Return the first text or number that the first of *sources* with one has under *keys*."""
    # A token_id is an id, but a redactor takes it for a secret, and so it is one here.
    shown = [key for key in keys if not redactors.is_secret(key)]
    for source in sources:
        if isinstance(source, dict):
            for key in shown:
                value = source.get(key)
                if (type(value) is str and value not in ("", REDACTED)) or type(value) is int:
                    # It becomes a column of text, in which the handler looks for no secrets.
                    return redactors.clean_text(str(value))
    return None
