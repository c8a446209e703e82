"""How events are chosen and printed: what ``search`` and ``tail`` have in common."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from audit_handler.cli._options import period_options
from audit_handler.cli._output import console, echo_csv, echo_ndjson, safe, short, table
from audit_handler.schema import COLUMNS
from audit_handler.trail import Event, Filter, Period

__all__ = ["echo_all", "echo_events", "filter_options", "format_option"]

_OUTCOME_STYLES = {"success": "green", "failure": "red"}
_WIDE, _NARROW = 150, 112
# Columns of a terminal that the table needs, and that it needs without what `show` has besides. In
# fewer it is lines: the times and ids alone would leave the others no room.


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


def _address(text: str) -> str:
    try:
        return str(ip_address(text)) if text else ""
    except ValueError:
        raise click.BadParameter(f"{text!r} is no address, such as 192.0.2.7") from None


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
        click.option("--text", default="", help="Part of a body, value, message or metadata."),
        click.option("--min-status", type=click.IntRange(0, 65535), default=0, metavar="CODE"),
        click.option(
            "--level", type=str.upper, default="", metavar="NAME", help="INFO, ERROR, ..."
        ),
        click.option("--ip", type=_address, default="", metavar="ADDRESS", help="IPv4 or IPv6."),
        click.option("--outcome", type=click.Choice(["success", "failure", "unknown"])),
        click.option("--service", default="", metavar="NAME", help="Application (service_name)."),
        click.option(
            "--session", "session_id", default="", metavar="ID", help="Session (session_id)."
        ),
        click.option("--request-id", default="", metavar="ID", help="Request, or trace id."),
        click.option(
            "--resource", default="", metavar="TYPE[/ID]", help="order, order/o-17, or /o-17."
        ),
        click.option("--action", default="", metavar="NAME", help="CREATE, DELETE, ..."),
        click.option("--user", default="", metavar="ID", help="Who acted (agent_id)."),
    ):
        with_filter = option(with_filter)
    return period_options(with_filter)


format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json", "csv", "ndjson"]),
    default="table",
    show_default=True,
    help="json, csv and ndjson hold every column.",
)


def echo_events(
    events: Sequence[Event], format_: str, *, is_line: bool = False, has_head: bool = True
) -> None:
    """
    Print events; as a table where there is room for one, or with *is_line* as lines, whose columns
    need no look ahead.
    """
    if format_ == "ndjson":
        echo_ndjson(events)
    elif format_ == "csv":
        added = [name for name in (events[0] if events else ()) if name not in COLUMNS]
        echo_csv([*COLUMNS, *added], events, has_head=has_head)
    elif is_line or console().width < _NARROW:
        for event in events:
            console().print(_line(event), soft_wrap=True)
    elif events:
        console().print(_table(events, is_wide=console().width >= _WIDE))


def echo_all(events: Iterable[Event], format_: str) -> None:
    """Print events as ndjson or csv, each as it comes."""
    has_head = True
    for event in events:
        echo_events([event], format_, has_head=has_head)
        has_head = False
    if has_head:
        echo_events([], format_)


def _table(events: Sequence[Event], *, is_wide: bool) -> Table:
    heads = (
        "time (UTC)",
        "who",
        "action",
        "outcome",
        "resource",
        "status",
        "from",
        "what",
        "event id",
    )
    rows = [
        (
            event["event_time"][:-3],
            event["agent_id"],
            event["action"],
            event["outcome"],
            _resource(event),
            event["status_code"] or "",
            _origin(event),
            event["message"],
            event["event_id"],
        )
        for event in events
    ]
    whole = (heads[0], heads[-1])
    found = table(heads, rows, right=("status",), whole=whole, style=_outcome_style)
    if not is_wide:
        found.columns = [c for c in found.columns if c.header not in ("from", "what")]
    return found


def _outcome_style(column: str, text: str) -> str:
    return _OUTCOME_STYLES.get(text, "") if column == "outcome" else ""


def _line(event: Event) -> Text:
    outcome = event["outcome"]
    return Text.assemble(
        (event["event_time"][:-3], "dim"),
        " ",
        short(event["agent_id"] or "-"),
        " ",
        (short(event["action"]), "bold"),
        " ",
        short(_resource(event) or "-"),
        " ",
        (safe(outcome), _OUTCOME_STYLES.get(outcome, "")),
        f" {event['status_code']}" if event["status_code"] else "",
        " ",
        short(event["message"]),
        " ",
        (event["event_id"], "dim"),
    )


def _resource(event: Event) -> str:
    return "/".join(filter(None, (event["resource_type"], event["resource_id"])))


def _origin(event: Event) -> str:
    return "" if event["ip_address"] == "::" else str(event["ip_address"])
