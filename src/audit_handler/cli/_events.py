"""How ``search`` and ``tail`` print events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from audit_handler.cli._output import console, echo_csv, echo_ndjson, safe, short, table
from audit_handler.schema import COLUMNS
from audit_handler.trail import Event

__all__ = ["echo_all", "echo_events"]

_OUTCOME_STYLES = {"success": "green", "failure": "red"}

# Width of the whole table, and of the table without address and message. A narrower terminal gets
# lines: time and id alone would leave no space for the other columns.
_WIDE, _NARROW = 150, 112


def echo_events(
    events: Sequence[Event], format_: str, *, is_line: bool = False, has_header: bool = True
) -> None:
    """
    Print events in the given format.

    The format ``table`` draws a table if the terminal is wide enough. Otherwise, or with *is_line*,
    it prints one line per event, which does not depend on the events that follow.
    """
    if format_ == "ndjson":
        echo_ndjson(events)
    elif format_ == "csv":
        added = [name for name in (events[0] if events else ()) if name not in COLUMNS]
        echo_csv([*COLUMNS, *added], events, has_header=has_header)
    elif is_line or console().width < _NARROW:
        for event in events:
            console().print(_line(event), soft_wrap=True)
    elif events:
        console().print(_table(events, is_wide=console().width >= _WIDE))


def echo_all(events: Iterable[Event], format_: str) -> None:
    """Print events as ndjson or csv, each as soon as it is read."""
    has_header = True
    for event in events:
        echo_events([event], format_, has_header=has_header)
        has_header = False
    if has_header:
        echo_events([], format_)


def _table(events: Sequence[Event], *, is_wide: bool) -> Table:
    columns = (
        "time (UTC)",
        "user",
        "action",
        "outcome",
        "resource",
        "status",
        "address",
        "message",
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
    unbroken = (columns[0], columns[-1])
    drawn = table(columns, rows, right=("status",), unbroken=unbroken, style=_outcome_style)
    if not is_wide:
        drawn.columns = [c for c in drawn.columns if c.header not in ("address", "message")]
    return drawn


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
