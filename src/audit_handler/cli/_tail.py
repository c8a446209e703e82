"""``tail``: the latest events, and new ones as they arrive."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NoReturn

import click

from audit_handler.cli._connections import reading
from audit_handler.cli._events import echo_events
from audit_handler.cli._filters import filter_options
from audit_handler.cli._options import as_json, format_option, settings_options
from audit_handler.cli._output import echo_json, safe
from audit_handler.config import Settings
from audit_handler.errors import TransientError
from audit_handler.trail import SUMMARY, Event, Filter, Trail

__all__ = ["tail"]

# Rows become visible when their insert ends, with the time at which the insert began. The handler
# waits 60 s for an insert.
_OVERLAP = timedelta(seconds=90)

_KEY = ("event_id", "event_time", "ingested_at")


@click.command()
@settings_options()
@filter_options
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(0, 10_000),
    default=10,
    show_default=True,
    metavar="N",
    help="Number of events to start with.",
)
@click.option("--follow", "-f", is_flag=True, help="Print new events as they arrive, until Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two queries of --follow.",
)
@format_option
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
    Show the latest events, newest last.

    With --follow, the command keeps running and prints each new event; JSON is then one object per
    line.
    """
    format_ = "json" if is_json else format_
    if format_ == "json" and follow:
        format_ = "ndjson"
    columns = (*SUMMARY, "ingested_at") if format_ == "table" else ()
    with reading(settings) as trail:
        asked_at = trail.server_time()
        known = set(map(_key, trail.arrived(wanted, since=_earlier(asked_at), columns=_KEY)))
        events = trail.search(wanted, limit=lines, columns=columns)[::-1] if lines else []
        if format_ == "json":
            echo_json({"events": events})
            return
        echo_events(events, format_, is_line=True)
        known.update(map(_key, events))
        with suppress(KeyboardInterrupt):
            if follow:
                _follow(trail, wanted, asked_at, known, columns, format_, interval)


def _follow(
    trail: Trail,
    wanted: Filter,
    asked_at: str,
    known: set[tuple[str, str]],
    columns: Sequence[str],
    format_: str,
    interval: float,
) -> NoReturn:
    """Print each event that arrives and is not *known*, without end."""
    pause = threading.Event()
    is_away = False
    while True:
        pause.wait(interval)
        seen = set()
        try:
            now = trail.server_time()
            for event in trail.arrived(wanted, since=_earlier(asked_at), columns=columns):
                seen.add(key := _key(event))
                if key not in known:
                    echo_events([event], format_, is_line=True, has_header=False)
                    known.add(key)
        except TransientError as exc:
            if not is_away:
                click.echo(f"{safe(str(exc))}; trying again", err=True)
            is_away = True
            continue
        if is_away:
            click.echo("ClickHouse answers again", err=True)
            is_away = False
        # The next query cannot return older events.
        known, asked_at = seen, now


def _key(event: Event) -> tuple[str, str]:
    # The time is part of the key: rows that other programs insert may have no id.
    return event["event_id"], event["event_time"]


def _earlier(server_time: str) -> str:
    return str(datetime.fromisoformat(server_time) - _OVERLAP)
