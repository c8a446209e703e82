"""``search``: pages of events that match a filter."""

from __future__ import annotations

import click

from audit_handler.cli._connections import reading
from audit_handler.cli._events import echo_all, echo_events
from audit_handler.cli._filters import event_id, filter_options
from audit_handler.cli._options import as_json, format_option, settings_options
from audit_handler.cli._output import echo_json
from audit_handler.config import Settings
from audit_handler.trail import SUMMARY, Filter

__all__ = ["search"]


@click.command()
@settings_options()
@filter_options
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    metavar="N",
    help="Number of events on a page.",
)
@click.option(
    "--before",
    default="",
    metavar="EVENT_ID",
    help="Show the next page; EVENT_ID is the last event of the previous one.",
)
@click.option(
    "--all",
    "is_all",
    is_flag=True,
    help="Print every matching event, without pages; needs --format ndjson or csv.",
)
@format_option
@as_json
def search(
    settings: Settings,
    wanted: Filter,
    limit: int,
    before: str,
    is_all: bool,
    format_: str,
    is_json: bool,
) -> None:
    """
    Search events, newest first.

    An event must match all given options. The exit code is 0 even if no event matches.

    JSON is {"events": [...], "next": EVENT_ID or null}; pass "next" to --before for the next page.
    CSV escapes unprintable characters, and puts an apostrophe before a value that a spreadsheet
    would read as a formula. Use ndjson for unchanged values.
    """
    format_ = "json" if is_json else format_
    if is_all:
        if format_ not in ("ndjson", "csv") or before:
            raise click.UsageError("--all needs --format ndjson or csv, and excludes --before")
        with reading(settings) as trail:
            echo_all(trail.every(wanted), format_)
        return
    columns = SUMMARY if format_ == "table" else ()
    if before:
        before = event_id(before)
    with reading(settings) as trail:
        try:
            # One event more than the page holds shows whether there is another page.
            events = trail.search(wanted, limit=limit + 1, before=before, columns=columns)
        except LookupError:
            raise click.ClickException(
                f"there is no event {before}; give --before the id of an event"
            ) from None
    is_more = len(events) > limit
    events = events[:limit]
    following = events[-1]["event_id"] if is_more else None
    if format_ == "json":
        echo_json({"events": events, "next": following})
        return
    echo_events(events, format_)
    if not events:
        click.echo(f"no matching event since {wanted.period.since:%Y-%m-%d %H:%M} UTC", err=True)
    if following:
        click.echo(f"more events match; for the next page add: --before {following}", err=True)
