"""The clock: a protocol for time and waiting, and the operating system's clock."""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]

# With this id the clock runs under freezegun and time-machine, which freeze `time.monotonic` and
# `time.perf_counter`: a deadline would never come. Both freeze only the real-time ids.
_RUNNING = time.CLOCK_MONOTONIC


class Clock(Protocol):
    """A source of time and of waiting. Safe to call from several threads."""

    def time(self) -> float:
        """Return Unix seconds; they may step back when the machine's clock is set."""

    def monotonic(self) -> float:
        """Return seconds that never step back; only their differences have a meaning."""

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        """Wait on the held *condition* until it is notified or *timeout* seconds have passed."""

    def sleep(self, seconds: float) -> None:
        """Let other threads run for *seconds*."""


class SystemClock:
    """
    The operating system's clock.

    A test may freeze `time`, and the rows then have the frozen time. `monotonic` and `wait` go on.
    """

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.clock_gettime(_RUNNING)

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        # Condition.wait rejects more than threading.TIMEOUT_MAX. A day is enough: callers wait in a
        # loop.
        condition.wait(None if timeout is None else max(0.0, min(timeout, 86_400.0)))

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
