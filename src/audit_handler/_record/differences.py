"""Find the differences of two values, and show them without their secrets."""

from __future__ import annotations

from typing import Any

from audit_handler._record.plain import CUT_MARKS, plain
from audit_handler._record.redaction import REDACTED, Redactor
from audit_handler._record.redaction.names import LABEL, LOOK, VALUE, SecretNames

__all__ = ["changed_fields"]

_redactor = Redactor()
_redactor.prepare()
_names = SecretNames(use_nouns=False)

_MISSING = object()


def changed_fields(old: Any, new: Any, *, keep_both: bool) -> dict[str, Any]:
    """Return what `audit_handler.changes` returns."""
    before, after = _copy(old), _copy(new)
    if _is_same(before, after):
        return {}
    shown_before, shown_after = _redactor.clean(before), _redactor.clean(after)
    if keep_both:
        _, _, names = _differences(before, after, before, after, "")
        fields: dict[str, Any] = {"old_value": shown_before, "new_value": shown_after}
    else:
        old_part, new_part, names = _differences(before, after, shown_before, shown_after, "")
        fields = {"old_value": old_part, "new_value": new_part}
    fields = {name: value for name, value in fields.items() if value not in (None, {})}
    if keep_both and names != [""]:
        fields["changed"] = names
    return fields


def _copy(value: Any) -> Any:
    # Without redaction: a new password is a change too.
    copy = plain(value)
    if type(copy) is str and not isinstance(value, str | type) and hasattr(value, "__dict__"):
        # Such an object's text names the object, but does not contain its values.
        fields = {name: item for name, item in vars(value).items() if not name.startswith("_")}
        return plain(fields) if fields else copy
    return copy


def _differences(
    old: Any, new: Any, shown_old: Any, shown_new: Any, path: str
) -> tuple[Any, Any, list[str]]:
    """
    Return what is shown of the parts of each side that differ from the other, and their paths.

    What is shown is redacted as a whole: a part alone may not say that it is secret.
    """
    sides = (old, new, shown_old, shown_new)
    if not all(isinstance(side, dict) for side in sides):
        return shown_old, shown_new, [path]
    old_part: dict[str, Any] = {}
    new_part: dict[str, Any] = {}
    names: list[str] = []
    for name in {**old, **new}:
        before, after = old.get(name, _MISSING), new.get(name, _MISSING)
        if not _is_same(before, after):
            inner = f"{path}.{name}" if path else name
            # A name that is secret itself is shown as another one.
            shown = (shown_old.get(name, REDACTED), shown_new.get(name, REDACTED))
            before_part, after_part, inner_names = _differences(before, after, *shown, inner)
            names += inner_names
            if before is not _MISSING:
                old_part[name] = before_part
            if after is not _MISSING:
                new_part[name] = after_part
    for side, part in ((shown_old, old_part), (shown_new, new_part)):
        if any(_names.judge(name) & VALUE for name in part):
            # The handler, which has more keys, needs the labels.
            part.update((name, side[name]) for name in side if _names.judge(name) & (LABEL | LOOK))
    return old_part, new_part, names


def _is_same(one: Any, other: Any) -> bool:
    """Return whether plain values are equal in JSON, where True and 1 differ."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    # Two values that were cut are equal only up to the cut.
    return bool(one == other) and one not in CUT_MARKS
