"""`Rule`: one rule of a policy, as the application writes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["LEVELS", "Rule"]

LEVELS = ("none", "metadata", "request", "request_response")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """
    One rule of a policy.

    A rule matches a request that meets all of its conditions: *methods*, *paths*, *routes*,
    *statuses* and *users*. Every request meets a condition that is left out. An option with several
    values also accepts a single value without a list.

    The policy checks the values, not the rule, so that an error can name the rule's number.
    """

    level: str
    """
    How much of the request to store: ``none`` (no audit event), ``metadata`` (no bodies),
    ``request`` (the request's body) or ``request_response`` (both bodies).
    """
    methods: Iterable[str] | str = ()
    """
    HTTP methods: ``POST``. ``WEBSOCKET`` stands for the opening of a WebSocket, which only a rule
    that names it can match.
    """
    paths: Iterable[str] | str = ()
    """
    Prefixes of paths, in whole segments: ``/api`` does not match ``/apis``. ``*`` stands for one
    segment: ``/api/orders/*/approve``.
    """
    routes: Iterable[str] | str = ()
    """
    Route templates, as the application's router has them: ``/api/orders/{order_id}``, or
    ``/api/orders/<order_id>``, which has the same meaning.
    """
    statuses: Iterable[int | str | range] | int | str = ()
    """Statuses of responses: ``404``, ``"4xx"``, ``"400-403"``, ``range(400, 404)``."""
    users: Iterable[str | int] | str | int = ()
    """Users, by their *agent_id*."""
    action: str = ""
    """The *action* of the audit event. By default it is derived from the method."""
    resource_type: str = ""
    """The *resource_type* of the audit event. By default it is derived from the path."""
    mask: Iterable[str] | str = ()
    """
    Parts of field names to mask in bodies, query, path, *old_value* and *new_value*, in addition to
    the handler's *redact_keys*.
    """
    redact_except: Iterable[str] | str = ()
    """
    Names of fields whose values stay, in addition to the handler's *redact_except*. What *mask*
    names does not stay.
    """
    durable: bool = False
    """
    Answer 503 before the application sees the request, if the handler cannot accept an audit event
    now, regardless of its *on_full*. Applies to each request that the rule may still match, because
    its status and user are not known yet.
    """
