"""``report``: what happened, how much of it failed, and who did it; printed, or as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta, timezone
from html import escape
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from audit_handler.cli._options import as_json, period_options, reading, settings_options
from audit_handler.cli._output import block, console, echo_json, private_file, safe, table, text_of
from audit_handler.config import Settings
from audit_handler.trail import Event, Period, Trail

__all__ = ["report"]

_HOURLY = timedelta(hours=48)
# Up to so much time is drawn by the hour, more by the day.
_MOST_BARS = 60
# More days are drawn by the week, more weeks by the month.
_BAR_WIDTH = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    target: str
    since: str
    until: str
    events: int
    failures: int
    activity: Sequence[Event]
    """*time*, *events* and *failures*, without a hole from the first to the last event."""
    actions: Sequence[Event]
    users: Sequence[Event]
    failed: Sequence[Event]


@click.command()
@settings_options()
@period_options
@click.option("--top", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write one page that needs nothing else.",
)
@as_json
def report(settings: Settings, period: Period, top: int, html: Path | None, is_json: bool) -> None:
    """
    Show activity over time, the users who did the most, and what failed last.

    Up to 48 hours are drawn by the hour, up to 60 days by whole days of UTC, then by the week (from
    its Monday) and by the month.
    """
    with reading(settings) as trail:
        made = _made(trail, str(settings.target), period, top)
    if html is not None:
        with private_file(html) as file:
            file.write(_page(made))
        click.echo(f"written: {html}", err=is_json)
    if is_json:
        echo_json(asdict(made))
    elif html is None:
        _print(made)


def _made(trail: Trail, target: str, period: Period, top: int) -> _Report:
    by_day = trail.question("activity_by_day", period)
    # Without an end it ends a day from now, see there.
    if period.until - period.since <= _HOURLY + timedelta(days=1):
        by_hour = _summed(trail.activity_by_hour(period), "hour", "time")
        activity = _without_holes(by_hour, timedelta(hours=1), len("2026-11-23 04:05"))
    else:
        activity = _by_days(by_day)
    actions = sorted(_summed(by_day, "action", "action"), key=lambda row: -row["events"])
    return _Report(
        target=target,
        since=_minute(period.since),
        until=_minute(min(period.until, datetime.now(timezone.utc))),
        events=sum(row["events"] for row in activity),
        failures=sum(row["failures"] for row in activity),
        activity=activity,
        actions=actions[:top],
        users=trail.question("top_users", period, limit=top),
        failed=trail.question("failed_operations", period, limit=top),
    )


def _by_days(by_day: Sequence[Event]) -> list[Event]:
    """Return the activity by day, week or month, so that there are not many more than 60 bars."""
    if not by_day:
        return []
    days = [date.fromisoformat(row["event_date"]) for row in by_day]
    first, last = min(days), max(days)
    if last - first > _MOST_BARS * timedelta(weeks=1):
        months = [{**row, "time": row["event_date"][:7]} for row in by_day]
        by_month = {row["time"]: row for row in _summed(months, "time", "time")}
        count = (last.year - first.year) * 12 + last.month - first.month + 1
        numbers = range(first.month - 1, first.month - 1 + count)
        return _filled(by_month, [f"{first.year + n // 12}-{n % 12 + 1:02}" for n in numbers])
    step = timedelta(days=1)
    if last - first > _MOST_BARS * step:
        step = timedelta(weeks=1)
        by_day = [
            {**row, "event_date": str(day - timedelta(day.weekday()))}
            for row, day in zip(by_day, days, strict=True)
        ]
    return _without_holes(_summed(by_day, "event_date", "time"), step, len("2026-11-23"))


def _without_holes(activity: Sequence[Event], step: timedelta, size: int) -> list[Event]:
    """
    Return *activity* with the times too in which nothing happened, *step* by *step*; a time has
    *size* characters.
    """
    if not activity:
        return []
    by_time = {row["time"][:size]: row for row in activity}
    first, last = (datetime.fromisoformat(text) for text in (min(by_time), max(by_time)))
    times = [str(first + number * step)[:size] for number in range((last - first) // step + 1)]
    return _filled(by_time, times)


def _filled(by_time: Mapping[str, Event], times: Sequence[str]) -> list[Event]:
    return [{"events": 0, "failures": 0, **by_time.get(time, {}), "time": time} for time in times]


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def _summed(rows: Sequence[Event], key: str, name: str) -> list[Event]:
    """Return *events* and *failures* summed by *key*, under *name*, in the order of *rows*."""
    sums: dict[str, Event] = {}
    for row in rows:
        total = sums.setdefault(row[key], {name: row[key], "events": 0, "failures": 0})
        total["events"] += row["events"]
        total["failures"] += row["failures"]
    return list(sums.values())


_USERS = ("agent_id", "events", "failures", "last_time")
_FAILED = (
    "event_time",
    "agent_id",
    "action",
    "resource_type",
    "resource_id",
    "status_code",
    "error_message",
)
_ACTIONS = ("action", "events", "failures")
_RIGHT = ("events", "failures", "status_code")


def _print(made: _Report) -> None:
    out = console()
    out.print(Text(f"{made.target}, {made.since} to {made.until}", "bold"), soft_wrap=True)
    click.echo(f"{made.events:,} events, {made.failures:,} of them failures")
    if not made.events:
        return
    most = max(row["events"] for row in made.activity)
    out.print(Text("\nActivity", "bold"), Text(" (red: failures)", "dim"), sep="")
    for row in made.activity:
        failures = round(_BAR_WIDTH * row["failures"] / most)
        # What happened at all is seen.
        others = max(row["events"] > 0, round(_BAR_WIDTH * row["events"] / most)) - failures
        bar = Text.assemble((block() * failures, "red"), (block() * others, "green"))
        out.print(Text(f"{row['time']} ").append(bar).append(f" {row['events']:,}"), soft_wrap=True)
    out.print()
    for title, columns, rows in _tables(made):
        out.print(table(columns, _cells(columns, rows), title=title, right=_RIGHT))


def _tables(made: _Report) -> list[tuple[str, Sequence[str], Sequence[Event]]]:
    return [
        ("Actions", _ACTIONS, made.actions),
        ("Users who did the most", _USERS, made.users),
        ("Last failures", _FAILED, made.failed),
    ]


def _cells(columns: Sequence[str], rows: Sequence[Event]) -> list[list[Any]]:
    return [[row[name] for name in columns] for row in rows]


# The page

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
       color: #1c2024; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #dde1e6;
         overflow-wrap: anywhere }
.number { text-align: right; font-variant-numeric: tabular-nums }
svg { width: 100%; height: 12rem } .ok { fill: #30a46c } .bad { fill: #e5484d }
@media (prefers-color-scheme: dark) { body { color: #eceef0; background: #151718 }
  th, td { border-color: #363b40 } }
"""


def _page(made: _Report) -> str:
    """
    Return one HTML page. Every value in it is escaped, and its policy lets nothing run or load.
    """
    tables = "".join(
        f"<h2>{_html(title)}</h2>{_html_table(columns, rows)}"
        for title, columns, rows in _tables(made)
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>Audit trail, {_html(made.since)} to {_html(made.until)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Audit trail</h1>
<p>{_html(made.target)}<br>{_html(made.since)} to {_html(made.until)}</p>
<p><b>{made.events:,}</b> events, <b>{made.failures:,}</b> of them failures</p>
<h2>Activity</h2>
{_html_chart(made.activity)}
{tables}
</body>
</html>
"""


def _html_chart(activity: Sequence[Event]) -> str:
    """Return a bar for each time, as SVG; what it stands for shows where the mouse is."""
    if not activity:
        return "<p>Nothing happened.</p>"
    most = max(row["events"] for row in activity)
    bars = []
    for number, row in enumerate(activity):
        height = 100 * row["events"] / most
        bad = 100 * row["failures"] / most
        text = f"{row['time']}: {row['events']:,} events, {row['failures']:,} failures"
        bars.append(
            f"<g><title>{_html(text)}</title>"
            f"{_html_bar('ok', number, height)}{_html_bar('bad', number, bad)}</g>"
        )
    width = max(10, len(activity))
    return (
        f'<svg viewBox="0 0 {width} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="events over time">{"".join(bars)}</svg>'
        f"<p>{_html(activity[0]['time'])} to {_html(activity[-1]['time'])} UTC, "
        f"{most:,} at most</p>"
    )


def _html_bar(kind: str, x: int, height: float) -> str:
    return f'<rect class="{kind}" x="{x}" width=".8" y="{100 - height:.2f}" height="{height:.2f}"/>'


def _html_table(columns: Sequence[str], rows: Sequence[Event]) -> str:
    if not rows:
        return "<p>None.</p>"

    def cell(tag: str, name: str, value: Any) -> str:
        mark = ' class="number"' if name in _RIGHT else ""
        return f"<{tag}{mark}>{_html(text_of(value))}</{tag}>"

    head = "".join(cell("th", name, name.replace("_", " ")) for name in columns)
    body = "".join(
        f"<tr>{''.join(cell('td', name, row[name]) for name in columns)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html(text: str) -> str:
    return escape(safe(text))
