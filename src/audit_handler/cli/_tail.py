"""``tail``: the latest events, and those that arrive."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

import click

from audit_handler.cli._events import echo_events, filter_options, format_option
from audit_handler.cli._options import READS, as_json, connected, settings_options
from audit_handler.cli._output import echo_json
from audit_handler.config import Settings
from audit_handler.trail import SUMMARY, Event, Filter, Trail

__all__ = ["tail"]

_OVERLAP = timedelta(seconds=30)
# An insert shows when it is done, under the time at which it began: ample for 8 MiB.


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
    columns = SUMMARY if format_ == "table" else ()
    with connected(settings, grant=READS) as connection:
        trail = Trail(connection, settings.target)
        asked_at = trail.server_time()
        known = _arrived(trail, wanted, asked_at, ("event_id",))
        events = trail.search(wanted, limit=lines, columns=columns)[::-1] if lines else []
        if format_ == "json":
            echo_json({"events": events})
            return
        echo_events(events, format_, is_line=True)
        known.update((event["event_id"], event) for event in events)
        pause = threading.Event()
        try:
            while follow and not pause.wait(interval):
                since, asked_at = asked_at, trail.server_time()
                arrived = _arrived(trail, wanted, since, columns)
                new = [event for key, event in arrived.items() if key not in known]
                echo_events(new, format_, is_line=True, has_head=False)
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
