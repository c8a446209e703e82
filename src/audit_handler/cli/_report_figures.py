"""The figures of ``report``: activity over time, actions, users and failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from audit_handler.trail import Event, Period, Trail

__all__ = ["NUMBERS", "Report", "make_report", "tables"]

# A period of up to 48 hours has a bar per hour, a longer one a bar per day. The minute covers the
# time since "--since 48h" was read.
_HOURLY = timedelta(hours=48, minutes=1)

# With more days there is a bar per week, with more weeks a bar per month.
_MOST_BARS = 60

# Columns that are aligned to the right.
NUMBERS = ("events", "failures", "status_code")

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures of one period, for the terminal, for the page and as JSON."""

    target: str
    since: str
    until: str
    events: int
    failures: int
    activity: Sequence[Event]
    """*time*, *events* and *failures* of each hour, day, week or month, without gaps."""
    actions: Sequence[Event]
    users: Sequence[Event]
    failed: Sequence[Event]


def make_report(trail: Trail, target: str, period: Period, top: int) -> Report:
    """Query the figures of *period*, with at most *top* actions, users and failures."""
    by_day = trail.question("activity_by_day", period)
    # A period without an end ends one day from now; see _periods.
    until = min(period.until, datetime.now(timezone.utc))
    if until - period.since <= _HOURLY:
        by_hour = _summed(trail.activity_by_hour(period), "hour", "time")
        activity = _without_gaps(by_hour, timedelta(hours=1), len("2026-11-23 04:05"))
    else:
        activity = _by_days(by_day)
    actions = sorted(_summed(by_day, "action", "action"), key=lambda row: -row["events"])
    return Report(
        target=target,
        since=_minute(period.since),
        until=_minute(until),
        events=sum(row["events"] for row in activity),
        failures=sum(row["failures"] for row in activity),
        activity=activity,
        actions=actions[:top],
        users=trail.question("top_users", period, limit=top),
        failed=trail.question("failed_operations", period, limit=top),
    )


def _by_days(by_day: Sequence[Event]) -> list[Event]:
    """Return the activity by day, week or month, which limits a chart to about 60 bars."""
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
    return _without_gaps(_summed(by_day, "event_date", "time"), step, len("2026-11-23"))


def _without_gaps(activity: Sequence[Event], step: timedelta, size: int) -> list[Event]:
    """Return *activity* with a row for each *step* without events; a time has *size* characters."""
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


def tables(report: Report) -> list[tuple[str, Sequence[str], Sequence[Event]]]:
    """Return title, columns and rows of each table."""
    return [
        ("Actions", _ACTIONS, report.actions),
        ("Most active users", _USERS, report.users),
        ("Latest failures", _FAILED, report.failed),
    ]
