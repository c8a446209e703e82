"""The resource of a request: type, id and name, from its path and bodies."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from audit_handler._http.redactors import Redactors
from audit_handler._record.redaction import REDACTED

__all__ = ["id_in", "resource_of", "shown_path", "value_of"]

_VERSION = re.compile(r"v\d+(\.\d+)*")
_UUID = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)

# Characters. A shorter secret may occur by chance in other segments, which would then be redacted.
_SHORTEST_PIECE = 4


def shown_path(
    path: str,
    path_params: Mapping[str, Any] | None,
    redactors: Redactors,
    is_masked: Callable[[str], bool] = lambda _name: False,
) -> str:
    """
    Return *path* without the parameters whose names are secret. If *path_params* is None, because
    they could not be read, redact the whole path.
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
    """
    Return *text* without the differences that converters for numbers and UUIDs remove: ``007`` and
    ``7`` are equal.
    """
    return text.lower().replace("-", "").lstrip("0")


def _without(part: str, secrets: Iterable[str]) -> str:
    """Return *part* with the *secrets* inside it redacted, as in ``/{token}.json``."""
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
    Return the path without secrets, the resource's type, the id after the type, and the last id
    before it.

    The type is the last segment that is not an id: in ``/api/v1/orders/17/items`` it is ``items``,
    in ``/api/orders/17`` it is ``orders``. An id before a plural is left out, because it is the
    owner's: 17 in ``/api/orders/17/items`` is not the id of an item.

    Args:
        path: The application's own path.
        prefix: The beginning of *path* that the policy's rule matches.
        path_params: The path parameters, or None if they could not be read.
        redactors: Decide which parameters are secret.
        is_masked: Whether the policy's rule masks a parameter of that name.
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
        # In a generic route like /api/{kind}/{id} the kind is a parameter too.
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
    """Return the first id in *sources*: under ``id``, ``order_id``, ``ordersId``; or None."""
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
    """Return the first text or integer under one of *keys* in *sources*, as text; or None."""
    # A token_id is an id, but if a redactor treats it as secret, it is secret here too.
    shown = [key for key in keys if not redactors.is_secret(key)]
    for source in sources:
        if isinstance(source, dict):
            for key in shown:
                value = source.get(key)
                if (type(value) is str and value not in ("", REDACTED)) or type(value) is int:
                    # It becomes a text column, in which the handler does not search for secrets.
                    return redactors.clean_text(str(value))
    return None
