"""`Guard` calls the application's functions, and survives their errors."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import TypeVar

from audit_handler._reports import Reporter

__all__ = ["Guard"]

_logger = Reporter("audit_handler.http")

_T = TypeVar("_T")
_U = TypeVar("_U")

# A function counts as working again after this many seconds without a failure. It may fail for some
# requests only, and a get_user that needs authentication fails at the start of each request.
_CALM_SECONDS = 60.0


class Guard:
    """
    Calls a function that may raise, and continues without its value if it does.

    Logs once when the function begins to fail, and once when it has worked for a minute. Safe to
    use from several threads; two threads may log the same line.

    Args:
        what: Name of the function for the log.
        consequence: The effect of a failure on audit events, for the log.
        clock: Returns seconds since any moment.
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
        """Return the value of *function*, or *otherwise* if it raises."""
        try:
            value = function()
        except Exception as exc:  # noqa: BLE001  # a bug in the application must not fail its requests
            self._failed_last = self._clock()
            if not self._is_failing:
                self._is_failing = True
                # Without text and traceback: they may quote the request.
                *_, (frame, line) = traceback.walk_tb(exc.__traceback__)
                place = f"{type(exc).__name__} at {frame.f_code.co_filename}:{line}"
                _logger.warning("%s failed (%s); %s", self._what, place, self._consequence)
            return otherwise
        if self._is_failing and self._clock() - self._failed_last >= _CALM_SECONDS:
            self._is_failing = False
            _logger.info("%s works again", self._what)
        return value
