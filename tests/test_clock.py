"""The system's clock waits as long as was asked for, whatever was asked for."""

from __future__ import annotations

import threading
import time

import pytest

from audit_handler._clock import SystemClock


class RecordingCondition(threading.Condition):
    """A condition that notes how long it is waited on, and returns at once."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return True


@pytest.mark.parametrize(
    ("asked", "waited"),
    [(None, None), (1.5, 1.5), (-1.0, 0.0), (threading.TIMEOUT_MAX * 2, 86_400.0)],
)
def test_a_wait_is_kept_within_what_python_can_wait(
    asked: float | None, waited: float | None
) -> None:
    condition = RecordingCondition()
    SystemClock().wait(condition, asked)

    assert [waited] == condition.waits


def test_its_times_are_those_of_the_system() -> None:
    clock = SystemClock()
    before = (time.time(), time.monotonic())
    now = (clock.time(), clock.monotonic())

    assert before[1] <= now[1] <= time.monotonic()
    assert now[0] == pytest.approx(time.time(), abs=3600)
