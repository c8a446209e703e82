"""What may fail for any request without costing it: the application's functions that we call."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Guard"]

_logger = logging.getLogger("audit_handler.http")

_T = TypeVar("_T")
_U = TypeVar("_U")

_CALM_SECONDS = 60.0
# Without a failure, until it counts as working: it may fail for some requests and not for others,
# and a get_user that finds nobody before authentication fails in the first half of each.


class Guard:
    """
    Calls what may raise, and goes on without it. Logs when it begins to fail and when it has worked
    for a minute again, not each time. Serves several threads; that two of them tell it at once does
    no harm.

    Args:
        what: What is called, as the log names it.
        consequence: What that means for the audits.
        clock: Seconds, from any start.
    """

    def __init__(
        self, what: str, consequence: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what = what
        self._consequence = consequence
        self._clock = clock
        self._is_failing = False
        self._failed_last = 0.0

    def call(self, function: Callable[[], _T], otherwise: _U) -> _T | _U:
        """Return what *function* returns, or *otherwise* where it raises."""
        try:
            value = function()
        except Exception as exc:  # noqa: BLE001  # a bug of the application's is no reason to refuse its requests
            self._failed_last = self._clock()
            if not self._is_failing:
                self._is_failing = True
                # Neither its text nor its traceback: they may quote what was sent.
                *_, (frame, line) = traceback.walk_tb(exc.__traceback__)
                place = f"{type(exc).__name__} at {frame.f_code.co_filename}:{line}"
                _logger.warning("%s failed (%s); %s", self._what, place, self._consequence)
            return otherwise
        if self._is_failing and self._clock() - self._failed_last >= _CALM_SECONDS:
            self._is_failing = False
            _logger.info("%s works again", self._what)
        return value
