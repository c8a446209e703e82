"""The options that select events, for ``search`` and ``tail``, and the event id of ``show``."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import click

from audit_handler.cli._output import safe
from audit_handler.cli._periods import period_options
from audit_handler.trail import Filter, Period

__all__ = ["event_id", "filter_options"]

# Options that go into the filter under the same name.
_SAME_NAMES = (
    "user",
    "action",
    "request_id",
    "session_id",
    "service",
    "ip",
    "level",
    "min_status",
    "text",
)


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a filter to a command, which gets the filter as *wanted*."""

    @functools.wraps(command)
    def with_filter(resource: str, outcome: str | None, period: Period, **given: Any) -> None:
        resource_type, _, resource_id = resource.partition("/")
        wanted = Filter(
            period=period,
            resource_type=resource_type,
            resource_id=resource_id,
            outcome=outcome or "",
            **{name: given.pop(name) for name in _SAME_NAMES},
        )
        command(wanted=wanted, **given)

    for option in (
        click.option(
            "--text",
            default="",
            metavar="TEXT",
            help="Text within a body, an old or new value, the error, message or metadata; case "
            "is ignored.",
        ),
        click.option(
            "--min-status",
            type=click.IntRange(0, 65535),
            default=0,
            metavar="CODE",
            help="HTTP status of at least CODE.",
        ),
        click.option(
            "--level",
            default="",
            metavar="NAME",
            help="Log level, such as INFO or ERROR; case is ignored.",
        ),
        click.option(
            "--ip",
            type=_address,
            default="",
            metavar="ADDRESS",
            help="Address of the client, IPv4 or IPv6.",
        ),
        click.option(
            "--outcome",
            type=click.Choice(["success", "failure", "unknown"]),
            help="Result of the action.",
        ),
        click.option(
            "--service", default="", metavar="NAME", help="Application (column service_name)."
        ),
        click.option(
            "--session", "session_id", default="", metavar="ID", help="Session (column session_id)."
        ),
        click.option("--request-id", default="", metavar="ID", help="Request id or trace id."),
        click.option(
            "--resource",
            default="",
            metavar="TYPE[/ID]",
            help="Resource: a type (order), a type and an id (order/o-17), or an id (/o-17).",
        ),
        click.option(
            "--action", default="", metavar="NAME", help="Action, such as CREATE or DELETE."
        ),
        click.option("--user", default="", metavar="ID", help="User (column agent_id)."),
    ):
        with_filter = option(with_filter)
    return period_options(with_filter)


def event_id(text: str) -> str:
    """
    Return the id of an event in its usual form.

    Raises:
        click.UsageError: *text* is not a UUID.
    """
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise click.UsageError(
            f"{safe(text)} is not an event id; search and tail show the ids"
        ) from None


def _address(text: str) -> str:
    try:
        return str(ip_address(text)) if text else ""
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an address, such as 192.0.2.7") from None
