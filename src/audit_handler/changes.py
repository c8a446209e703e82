"""
Compare two values, and return their differences as *old_value* and *new_value*.

    before = order.copy()
    order.update(sent)
    logger.info("order changed", extra={"action": "UPDATE", **changes(before, order)})
"""

from __future__ import annotations

from typing import Any

from audit_handler._process.imports import imported

__all__ = ["changes"]


def changes(old: Any, new: Any, *, keep_both: bool = False) -> dict[str, Any]:
    """
    Return *old_value* and *new_value* with the fields that differ between *old* and *new*.

    Compares dicts, dataclasses, models and other objects with named fields field by field, 64
    levels deep. Keeps the whole list if two lists differ, because an insertion moves all later
    positions. A field that only one side has is kept on that side. Values beyond that depth, or
    beyond 50,000 values, are not compared; both sides mark them as cut, because they may differ.
    Values are copied now, and redacted by the default keys; the handler redacts by its own keys
    too.

    Args:
        old: The value before, or None if there was none. An object of your own (a model of
            SQLAlchemy or Django) is compared by the public names of its ``vars()``.
        new: The value after, or None if it no longer exists.
        keep_both: Keep both values whole, and list the fields that differ in *changed*, which goes
            to *metadata*: ``["total", "customer.city"]``.

    Returns:
        Fields for ``extra={**changes(...)}`` or ``audit(**changes(...))``; an empty dict if nothing
        differs, and no *old_value* or *new_value* for a side without values.
    """
    # Not above: an application that only binds fields need not load the rules of redaction.
    rules = imported("audit_handler._record.differences")
    fields: dict[str, Any] = rules.changed_fields(old, new, keep_both=keep_both)
    return fields
