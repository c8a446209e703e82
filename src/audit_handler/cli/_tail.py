"""``tail``: the latest events, and those that arrive."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NoReturn

import click

from audit_handler.cli._events import echo_events, filter_options, format_option
from audit_handler.cli._options import as_json, reading, settings_options
from audit_handler.cli._output import echo_json, safe
from audit_handler.config import Settings
from audit_handler.errors import TransientError
from audit_handler.trail import SUMMARY, Event, Filter, Trail

__all__ = ["tail"]

_OVERLAP = timedelta(seconds=90)
# An insert shows when it is done, under the time at which it began, and the handler waits 60 s for
# one.
_KEY = ("event_id", "event_time", "ingested_at")


@click.command()
@settings_options()
@filter_options
@click.option("--lines", "-n", type=click.IntRange(0, 10_000), default=10, show_default=True)
@click.option("--follow", "-f", is_flag=True, help="Go on with what arrives, until Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
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
    Show the latest events, the newest last; with --follow also each one that arrives.

    With --follow, JSON is one object a line.
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
    """Print what arrives and is not *known*, for ever."""
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
                    echo_events([event], format_, is_line=True, has_head=False)
                    known.add(key)
        except TransientError as exc:
            if not is_away:
                click.echo(f"{safe(str(exc))}; trying again", err=True)
            is_away = True
            continue
        if is_away:
            click.echo("ClickHouse answers again", err=True)
            is_away = False
        # What is older cannot be seen again.
        known, asked_at = seen, now


def _key(event: Event) -> tuple[str, str]:
    # With the time, because rows that others insert may have no id.
    return event["event_id"], event["event_time"]


def _earlier(server_time: str) -> str:
    return str(datetime.fromisoformat(server_time) - _OVERLAP)
