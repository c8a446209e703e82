"""Reading the trail: ``search`` and ``show``."""

from __future__ import annotations

import difflib
import json
import uuid
from collections.abc import Iterable

import click
from rich.text import Text

from audit_handler.cli._events import echo_all, echo_events, filter_options, format_option
from audit_handler.cli._options import as_json, reading, settings_options
from audit_handler.cli._output import console, echo_json, safe, text_of
from audit_handler.config import Settings
from audit_handler.trail import SUMMARY, Filter

__all__ = ["search", "show"]


@click.command()
@settings_options()
@filter_options
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@click.option(
    "--before", default="", metavar="EVENT_ID", help="The last event of the page before this one."
)
@click.option(
    "--all", "is_all", is_flag=True, help="No limit and no pages: with --format ndjson or csv."
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
    Show events, newest first. All that is given must hold.

    JSON is {"events": [...], "next": EVENT_ID or null}: give next to --before for the page after.
    CSV holds characters that do not print as escapes, and puts an apostrophe before what a
    spreadsheet would take for a formula; ndjson holds every value as it is.
    """
    format_ = "json" if is_json else format_
    if is_all:
        if format_ not in ("ndjson", "csv") or before:
            raise click.UsageError("--all is for --format ndjson or csv, and without --before")
        with reading(settings) as trail:
            echo_all(trail.every(wanted), format_)
        return
    columns = SUMMARY if format_ == "table" else ()
    if before:
        before = _event_id(before)
    with reading(settings) as trail:
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
    echo_events(events, format_)
    if not events:
        click.echo(f"no such event since {wanted.period.since:%Y-%m-%d %H:%M} UTC", err=True)
    if following:
        click.echo(f"there are more: --before {following}", err=True)


@click.command()
@settings_options()
@click.argument("event_id")
@as_json
def show(settings: Settings, event_id: str, is_json: bool) -> None:
    """
    Show one event in full, with what changed from its old value to its new one.
    """
    event_id = _event_id(event_id)
    with reading(settings) as trail:
        event = trail.event(event_id)
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
