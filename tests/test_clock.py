"""The system's clock waits as long as was asked for, whatever was asked for."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

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


# The handler is made before the clock freezes, or everything is imported while it is frozen.
FROZEN = """
import json, logging, sys
{before}
with {frozen}:
    from audit_handler import AuditHandler
    handler = AuditHandler(
        "http://127.0.0.1:1", spool_dir=sys.argv[1], retry_min_ms=1, retry_max_ms=5,
        shutdown_timeout=0.2,
    )
    log = logging.getLogger("shop")
    log.setLevel("INFO")
    log.addHandler(handler)
    log.info("x", extra={{"action": "CREATE"}})
    assert handler.flush(0.05) is False  # returns
    (line,) = handler._pipelines.open.spool.peek(10_000)
    print(json.loads(line)["event_time"])
    assert handler.close() is False
"""


@pytest.mark.parametrize("before", ["", "import audit_handler"], ids=["first", "imported"])
@pytest.mark.parametrize(
    ("package", "frozen"),
    [
        ("freezegun", '__import__("freezegun").freeze_time("2024-02-29 12:00:00")'),
        (
            "time_machine",
            '__import__("time_machine").travel("2024-02-29T12:00:00+00:00", tick=False)',
        ),
    ],
)
def test_flush_ends_under_a_frozen_clock_and_rows_have_the_frozen_time(
    package: str, frozen: str, before: str, tmp_path: Path
) -> None:
    """Its deadline never came: the tools freeze the monotonic clock too."""
    pytest.importorskip(package, reason=f"{package} is not installed")
    program = FROZEN.format(before=before, frozen=frozen)
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "spool")],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert (0, "2024-02-29 12:00:00.000000\n") == (ended.returncode, ended.stdout), ended.stderr
