"""The options --since and --until, and the times that they accept."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import click

from audit_handler.errors import ConfigurationError
from audit_handler.trail import Period

__all__ = ["period_options"]

_AGO = re.compile(r"(\d{1,6})\s*(m|min|h|d|w)")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def period_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --since and --until to a command, which gets the *period* between them."""

    @functools.wraps(command)
    def with_period(since: datetime, until: datetime | None, **given: Any) -> None:
        command(period=_period(since, until), **given)

    until = click.option(
        "--until", type=_moment, metavar="TIME", help="End of the period.  [default: no end]"
    )
    since = click.option(
        "--since",
        type=_moment,
        metavar="TIME",
        default="7d",
        show_default=True,
        help="Start of the period: an age (30m, 24h, 7d, 2w), or a UTC date or time (2026-11-23, "
        "2026-11-23T04:05).",
    )
    return since(until(with_period))


def _moment(text: str) -> datetime:
    """Parse an age, or an ISO date or time, which is in UTC unless it names a zone."""
    try:
        if ago := _AGO.fullmatch(text.strip()):
            return datetime.now(timezone.utc) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        # Python 3.10 does not accept the Z.
        moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text.strip()))
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is not a time; use 30m, 24h, 7d, 2w, 2026-11-23 or 2026-11-23T04:05:06"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _period(since: datetime, until: datetime | None) -> Period:
    """
    Return the period from *since* to *until*.

    Raises:
        ConfigurationError: It is empty, or outside the range of ClickHouse's dates.
    """
    # None means "no end". A clock ahead of ours may have stored a time of tomorrow.
    until = until or datetime.now(timezone.utc) + timedelta(days=1)
    if since >= until:
        raise ConfigurationError("--since is not before --until; the period between them is empty")
    if not 1970 <= since.year <= until.year <= 2148:
        raise ConfigurationError("--since and --until must lie between 1970 and 2148")
    return Period(since=since, until=until)
