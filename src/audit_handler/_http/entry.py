"""
The audit event of one request, ready to be logged: its level, message, error and fields.

Several sources may have the same field. `Sources` lists them from the weakest to the strongest, and
the strongest that has a field wins. Four rules complete that order:

1. Bound fields that win are not in the entry. The handler reads the context itself, but an extra
   would win over the context, so the entry has no field of that name. *action* is the exception:
   the handler recognises an audit event by it, so the entry always has it.
2. Fields that were bound when the request arrived, and are still bound, are not in the entry
   either. They are the weakest of all.
3. *metadata* is merged name by name. The exception is metadata that was cleared: it is used only if
   no metadata was found. The handler adds the bound metadata.
4. The policy's rule masks values from every source; that never changes which source wins.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from audit_handler._http.exchange import Exchange
from audit_handler.policy import Clause
from audit_handler.schema import COLUMNS

__all__ = ["Entry", "Sources", "make_entry", "merged"]

# Names that logging rejects in `extra`.
_RECORD_NAMES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
# The columns in which a rule masks bound values.
_CONTENT = ("request_body", "response_body", "old_value", "new_value")


class Sources(NamedTuple):
    """The sources of an audit event's fields, from the weakest to the strongest."""

    cleared: Mapping[str, Any]
    """Fields that were bound when the request arrived, and have been cleared since."""
    found: Mapping[str, Any]
    """Fields read from request and response: `Exchange.fields`."""
    rule: Mapping[str, Any]
    """*action* and *resource_type* of the policy's rule, if it has them."""
    who: Mapping[str, Any]
    """Agent and session, read again because authentication may have happened inside."""
    since: Mapping[str, Any]
    """Fields that were bound, or bound to another value, after the request arrived."""
    said: Mapping[str, Any]
    """Fields that the application gave to `audit_handler.audit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An audit event that is ready to be logged."""

    level: int
    arguments: tuple[str, str, int]
    """Of the message: method, path and status."""
    fields: Mapping[str, Any]
    error: Exception | None
    is_durable: bool = False
    """Whether the request must not succeed unless a handler accepts the event."""


def make_entry(
    exchange: Exchange, who: Mapping[str, Any], bound: Mapping[str, Any]
) -> Entry | None:
    """
    Return the audit event of *exchange*, or None if the policy does not audit it.

    Args:
        exchange: The request and its response, at their end.
        who: Agent and session, as far as they are known now.
        bound: The fields that are bound now.
    """
    before, said = exchange.bound, exchange.said.fields
    since = {name: value for name, value in bound.items() if before.get(name) is not value}
    users = (source.get("agent_id") for source in (said, since, who, before))
    rule = exchange.decide(next((str(user) for user in users if user is not None), ""))
    if rule is None:
        return None
    if not since.get("action", True):
        # With an empty action it would not be an audit event.
        del since["action"]
    found = exchange.fields(rule)
    cleared = {
        name: value
        for name, value in before.items()
        if name not in bound and name not in _RECORD_NAMES
    }
    if found.get("outcome") == "success" and any(
        source.get(name) for source in (said, bound) for name in ("error_message", "status_code")
    ):
        # The application knows better than the status of its answer. The handler derives the
        # outcome from what it said.
        for source in (found, cleared):
            source.pop("outcome", None)
    fields = merged(Sources(cleared, found, rule.fields, who, since, _said(said, rule)))
    if rule.mask:
        for name in _CONTENT:
            if name in bound and name not in fields:
                fields[name] = rule.masked(bound[name])
    path = found.get("endpoint", "")
    return Entry(
        level=logging.ERROR if exchange.is_error else logging.INFO,
        arguments=(
            exchange.method,
            # A path must not forge a log line.
            path if path.isprintable() else ascii(path),
            found["status_code"],
        ),
        fields=fields,
        # The traceback of a cancelled task adds nothing to metadata.cancelled.
        error=exchange.error if isinstance(exchange.error, Exception) else None,
        is_durable=rule.durable,
    )


def merged(sources: Sources) -> dict[str, Any]:
    """Return the fields of *sources*, each from the strongest that has it, for ``extra``."""
    fields: dict[str, Any] = {}
    for source in sources:
        fields.update(source)
    for name in sources.since:
        if name not in sources.said and name != "action":
            # The handler reads it from the context.
            del fields[name]
    metadata = sources.found.get("metadata") or sources.cleared.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        # The handler stores it in this form.
        metadata = {"metadata": metadata}
    metadata = {**metadata, **sources.said.get("metadata", {})}
    fields.pop("metadata", None)
    if metadata:
        fields["metadata"] = metadata
    return fields


def _said(said: Mapping[str, Any], rule: Clause) -> dict[str, Any]:
    """Return the fields that the application *said*, masked, with *metadata* as a dict."""
    fields: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    for name, value in said.items():
        if name == "metadata" and isinstance(value, dict):
            metadata.update(rule.masked(value))
        elif name == "metadata" or name in _RECORD_NAMES:
            metadata.update(rule.masked({name: value}))
        elif name in COLUMNS:
            # The name is ours, not the application's, so only the contents of the value are masked.
            fields[name] = rule.masked(value)
        else:
            fields.update(rule.masked({name: value}))
    if metadata:
        fields["metadata"] = metadata
    return fields
