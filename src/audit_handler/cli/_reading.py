"""Reading the trail: ``search``, ``tail``, ``show``, ``verify-completeness``."""

from __future__ import annotations

import difflib
import functools
import json
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import click
from rich.text import Text

from audit_handler.cli._options import (
    READS,
    as_json,
    connected,
    period_options,
    settings_options,
)
from audit_handler.cli._output import (
    console,
    echo_csv,
    echo_json,
    echo_ndjson,
    safe,
    table,
    text_of,
)
from audit_handler.config import Settings
from audit_handler.schema import COLUMNS
from audit_handler.trail import SUMMARY, Completeness, Event, Filter, Period, Trail

__all__ = ["search", "show", "tail", "verify_completeness"]

_OUTCOME_STYLES = {"success": "green", "failure": "red"}
_WIDE = 130
# Columns of a terminal, below which a line of the table is cut to what it is looked for by.
_OVERLAP = timedelta(seconds=30)
# An insert shows when it is done, under the time at which it began: ample for 8 MiB.


def _filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a filter to a command, which gets the filter as *wanted*."""

    @functools.wraps(command)
    def with_filter(
        user: str,
        action: str,
        resource: str,
        request_id: str,
        session: str,
        service: str,
        outcome: str | None,
        text: str,
        period: Period,
        **given: Any,
    ) -> None:
        resource_type, _, resource_id = resource.partition("/")
        wanted = Filter(
            period=period,
            user=user,
            action=action,
            resource_type=resource_type,
            resource_id=resource_id,
            request_id=request_id,
            session_id=session,
            service=service,
            outcome=outcome or "",
            text=text,
        )
        command(wanted=wanted, **given)

    for option in (
        click.option("--text", default="", help="Part of a body, value, message or metadata."),
        click.option("--outcome", type=click.Choice(["success", "failure", "unknown"])),
        click.option("--service", default="", metavar="NAME", help="Application (service_name)."),
        click.option("--session", default="", metavar="ID", help="Session (session_id)."),
        click.option("--request-id", default="", metavar="ID", help="Request, or trace id."),
        click.option(
            "--resource", default="", metavar="TYPE[/ID]", help="order, order/o-17, or /o-17."
        ),
        click.option("--action", default="", metavar="NAME", help="CREATE, DELETE, ..."),
        click.option("--user", default="", metavar="ID", help="Who acted (agent_id)."),
    ):
        with_filter = option(with_filter)
    return period_options(with_filter)


_format = click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json", "csv", "ndjson"]),
    default="table",
    show_default=True,
    help="json, csv and ndjson hold every column.",
)


@click.command()
@settings_options()
@_filter_options
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@click.option(
    "--before", default="", metavar="EVENT_ID", help="The last event of the page before this one."
)
@_format
@as_json
def search(
    settings: Settings, wanted: Filter, limit: int, before: str, format_: str, is_json: bool
) -> None:
    """
    Show events, newest first. All that is given must hold.

    JSON is {"events": [...], "next": EVENT_ID or null}: give next to --before for the page after.
    CSV holds characters that do not print as escapes, and puts an apostrophe before what a
    spreadsheet would take for a formula; ndjson holds every value as it is.
    """
    format_ = "json" if is_json else format_
    columns = SUMMARY if format_ == "table" else ()
    if before:
        before = _event_id(before)
    with connected(settings, grant=READS) as connection:
        trail = Trail(connection, settings.target)
        try:
            # One more than asked for tells whether there is another page.
            events = trail.search(wanted, limit=limit + 1, before=before, columns=columns)
        except LookupError:
            raise click.ClickException(f"no event {before}") from None
    is_more = len(events) > limit
    events = events[:limit]
    following = events[-1]["event_id"] if is_more else None
    if format_ == "json":
        echo_json({"events": events, "next": following})
        return
    _echo_events(events, format_)
    if not events:
        click.echo(f"no such event since {wanted.period.since:%Y-%m-%d %H:%M} UTC", err=True)
    if following:
        click.echo(f"there are more: --before {following}", err=True)


@click.command()
@settings_options()
@_filter_options
@click.option("--lines", "-n", type=click.IntRange(0, 10_000), default=10, show_default=True)
@click.option("--follow", "-f", is_flag=True, help="Go on with what arrives, until Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@_format
@as_json
def tail(
    settings: Settings,
    wanted: Filter,
    lines: int,
    follow: bool,
    interval: float,
    format_: str,
    is_json: bool,
) -> None:
    """
    Show the latest events, the newest last; with --follow also each one that arrives.

    With --follow, JSON is one object a line.
    """
    format_ = "json" if is_json else format_
    if format_ == "json" and follow:
        format_ = "ndjson"
    columns = SUMMARY if format_ == "table" else ()
    with connected(settings, grant=READS) as connection:
        trail = Trail(connection, settings.target)
        asked_at = trail.server_time()
        known = _arrived(trail, wanted, asked_at, ("event_id",))
        events = trail.search(wanted, limit=lines, columns=columns)[::-1] if lines else []
        if format_ == "json":
            echo_json({"events": events})
            return
        _echo_events(events, format_, is_line=True)
        known.update((event["event_id"], event) for event in events)
        pause = threading.Event()
        try:
            while follow and not pause.wait(interval):
                since, asked_at = asked_at, trail.server_time()
                arrived = _arrived(trail, wanted, since, columns)
                new = [event for key, event in arrived.items() if key not in known]
                _echo_events(new, format_, is_line=True, has_head=False)
                # What is older cannot be seen again.
                known = arrived
        except KeyboardInterrupt:
            return


def _arrived(
    trail: Trail, wanted: Filter, server_time: str, columns: Sequence[str]
) -> dict[str, Event]:
    """Return what was stored since some time before *server_time*, by event id."""
    since = str(datetime.fromisoformat(server_time) - _OVERLAP)
    return {
        event["event_id"]: event for event in trail.arrived(wanted, since=since, columns=columns)
    }


def _echo_events(
    events: Sequence[Event], format_: str, *, is_line: bool = False, has_head: bool = True
) -> None:
    """Print events; as a table, or with *is_line* as lines, whose columns need no look ahead."""
    if format_ == "ndjson":
        echo_ndjson(events)
    elif format_ == "csv":
        added = [name for name in (events[0] if events else ()) if name not in COLUMNS]
        echo_csv([*COLUMNS, *added], events, has_head=has_head)
    elif is_line:
        for event in events:
            console().print(_line(event), soft_wrap=True)
    elif events:
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
                _address(event),
                event["message"],
                event["event_id"],
            )
            for event in events
        ]
        out = console()
        whole = (heads[0], heads[-1])
        found = table(heads, rows, right=("status",), whole=whole, style=_outcome_style)
        if out.width < _WIDE:
            # Whoever needs these sees them with `show`.
            found.columns = [c for c in found.columns if c.header not in ("from", "what")]
        out.print(found)


def _outcome_style(column: str, text: str) -> str:
    return _OUTCOME_STYLES.get(text, "") if column == "outcome" else ""


def _line(event: Event) -> Text:
    outcome = event["outcome"]
    return Text.assemble(
        (event["event_time"][:-3], "dim"),
        " ",
        safe(event["agent_id"] or "-"),
        " ",
        (safe(event["action"]), "bold"),
        " ",
        safe(_resource(event) or "-"),
        " ",
        (safe(outcome), _OUTCOME_STYLES.get(outcome, "")),
        f" {event['status_code']}" if event["status_code"] else "",
        " ",
        safe(event["message"]),
        " ",
        (event["event_id"], "dim"),
    )


def _resource(event: Event) -> str:
    return "/".join(filter(None, (event["resource_type"], event["resource_id"])))


def _address(event: Event) -> str:
    return "" if event["ip_address"] == "::" else str(event["ip_address"])


@click.command()
@settings_options()
@click.argument("event_id")
@as_json
def show(settings: Settings, event_id: str, is_json: bool) -> None:
    """
    Show one event in full, with what changed from its old value to its new one.
    """
    event_id = _event_id(event_id)
    with connected(settings, grant=READS) as connection:
        event = Trail(connection, settings.target).event(event_id)
    if event is None:
        raise click.ClickException(f"no event {event_id} in {settings.target}")
    if is_json:
        echo_json(event)
        return
    out = console()
    for name, value in event.items():
        if name in ("old_value", "new_value") or value in ("", 0, "::", "{}"):
            continue
        head = f"{safe(name):17}"
        for line in _pretty(text_of(value)).splitlines():
            out.print(Text.assemble((head, "bold"), safe(line)), soft_wrap=True)
            head = f"{'':17}"
    for changed in _change(event["old_value"], event["new_value"]):
        out.print(changed, soft_wrap=True)


def _change(old: str, new: str) -> Iterable[Text]:
    """Yield the lines of both values, those of one of them only in its colour."""
    if not (old or new):
        return
    yield Text("\nold value -> new value", "bold")
    styles = {"-": "red", "+": "green"}
    for line in difflib.ndiff(_pretty(old).splitlines(), _pretty(new).splitlines()):
        if not line.startswith("?"):
            yield Text(safe(line), styles.get(line[0], ""))


def _pretty(text: str) -> str:
    """Return a JSON object or list of several lines; any other text as it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(value, dict | list):
        return text
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)


def _event_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise click.UsageError(f"{safe(text)} is no event id; search and tail show them") from None


@click.command()
@settings_options()
@period_options
@as_json
def verify_completeness(settings: Settings, period: Period, is_json: bool) -> None:
    """
    Look for rows that are missing or stored twice. Exit code 1 if there are any.

    Each process numbers its rows 1, 2, 3, ... A missing number is a row that was lost, was rejected
    (see: audit-handler spool), or still waits in a spool while later ones are stored; or one that
    retention has dropped. Rows after the last one that arrived cannot be missed by this.
    """
    with connected(settings, grant=READS) as connection:
        writers = Trail(connection, settings.target).completeness(period)
    bad = [writer for writer in writers if not writer.is_complete]
    if is_json:
        echo_json(
            {
                "is_complete": not bad,
                "writers": len(writers),
                "rows": sum(writer.rows for writer in writers),
                "missing": sum(writer.missing for writer in writers),
                "repeated": sum(writer.repeated for writer in writers),
                "incomplete": [_as_dict(writer) for writer in bad],
            }
        )
    else:
        if bad:
            heads = ("writer", "service", "rows", "from", "to", "missing", "repeated", "gaps")
            rows = [(*_numbers(writer), _gaps(writer)) for writer in bad]
            numbers = ("rows", "from", "to", "missing", "repeated")
            console().print(table(heads, rows, right=numbers))
        total = sum(writer.rows for writer in writers)
        found = "NOT COMPLETE" if bad else "complete"
        click.echo(
            f"{found}: {total:,} rows of {len(writers):,} writers "
            f"since {period.since:%Y-%m-%d %H:%M} UTC, "
            f"{sum(writer.missing for writer in bad):,} missing, "
            f"{sum(writer.repeated for writer in bad):,} repeated"
        )
    if bad:
        raise click.exceptions.Exit(1)


def _numbers(writer: Completeness) -> tuple[Any, ...]:
    return (
        writer.writer_id,
        writer.service,
        writer.rows,
        writer.first_seq,
        writer.last_seq,
        writer.missing,
        writer.repeated,
    )


def _gaps(writer: Completeness) -> str:
    shown = [f"{a}" if a == b else f"{a}-{b}" for a, b in writer.gaps[:10]]
    return ", ".join([*shown, "..."] if len(writer.gaps) > len(shown) else shown)


def _as_dict(writer: Completeness) -> dict[str, Any]:
    heads = ("writer_id", "service", "rows", "first_seq", "last_seq", "missing", "repeated")
    return {**dict(zip(heads, _numbers(writer), strict=True)), "gaps": writer.gaps}
