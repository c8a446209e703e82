"""
What changed between two values, for *old_value* and *new_value*.

    before = order.copy()
    order.update(sent)
    logger.info("order changed", extra={"action": "UPDATE", **changes(before, order)})
"""

from __future__ import annotations

from typing import Any

from audit_handler._record.plain import CUT_MARKS
from audit_handler._record.redaction import Redactor
from audit_handler._record.secret_names import LABELLED, LABELS

__all__ = ["changes"]

_copier = Redactor(use_default_keys=False)
# Copies, and redacts nothing: a new password is a change too.
_redactor = Redactor()

_MISSING = object()


def changes(old: Any, new: Any, *, keep_both: bool = False) -> dict[str, Any]:
    """
    Return *old_value* and *new_value* with only what differs between *old* and *new*.

    Dicts, dataclasses, models and other objects with named fields are compared field by field, 64
    levels deep; a list that differs is kept whole, because positions say little once one was
    inserted. A field that only one side has is on that side alone. What goes deeper, or is beyond
    50,000 values, is not compared, and is marked as cut on both sides: it may differ. Values are
    copied now, and redacted by the default keys; the handler redacts by its own besides.

    Args:
        old: The value before, or None where there was none. Of an object of your own (a model of
            SQLAlchemy or Django) the attributes that its ``vars()`` has under public names.
        new: The value after, or None where there is none any more.
        keep_both: Keep both values whole, and list in *changed* (which goes to *metadata*) the
            fields that differ: ``["total", "customer.city"]``.

    Returns:
        Fields for ``extra={**changes(...)}`` or ``audit(**changes(...))``; none where nothing
        differs, and no *old_value* or *new_value* where there is nothing on that side.
    """
    before, after = _copy(old), _copy(new)
    if _is_same(before, after):
        return {}
    old_part, new_part, names = _differences(before, after, "")
    fields: dict[str, Any] = {"old_value": old_part, "new_value": new_part}
    if keep_both:
        fields = {"old_value": before, "new_value": after}
    fields = {name: _redactor.clean(value) for name, value in fields.items()}
    fields = {name: value for name, value in fields.items() if value not in (None, {})}
    if keep_both and names != [""]:
        fields["changed"] = names
    return fields


def _copy(value: Any) -> Any:
    copy = _copier.clean(value)
    if type(copy) is str and not isinstance(value, str | type) and hasattr(value, "__dict__"):
        # Its text says which object it is, and not what is in it.
        fields = {name: item for name, item in vars(value).items() if not name.startswith("_")}
        return _copier.clean(fields) if fields else copy
    return copy


def _differences(old: Any, new: Any, path: str) -> tuple[Any, Any, list[str]]:
    """Return what of each side the other has not, and the paths of it."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return old, new, [path]
    old_part: dict[str, Any] = {}
    new_part: dict[str, Any] = {}
    names: list[str] = []
    for name in {**old, **new}:
        before, after = old.get(name, _MISSING), new.get(name, _MISSING)
        if not _is_same(before, after):
            inner = f"{path}.{name}" if path else name
            before, after, inner_names = _differences(before, after, inner)
            names += inner_names
            if before is not _MISSING:
                old_part[name] = before
            if after is not _MISSING:
                new_part[name] = after
    for side, part in ((old, old_part), (new, new_part)):
        if not LABELLED.isdisjoint(map(str.lower, part)):
            # Without its label a secret of a list of headers would not be known for one.
            part.update((name, side[name]) for name in side if name.lower() in LABELS)
    return old_part, new_part, names


def _is_same(one: Any, other: Any) -> bool:
    """Whether plain values are the same. To Python True and 1 are equal, in JSON they differ."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    # Two things that were cut are the same only as far as they were looked at.
    return bool(one == other) and one not in CUT_MARKS
