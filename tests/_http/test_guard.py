"""A function of the application that fails is logged once, and survived."""

from __future__ import annotations

import logging

import pytest

from audit_handler._http import Guard


class Failing:
    """Fails for what it is told to."""

    now = 0.0

    def __init__(self) -> None:
        self.guard = Guard("get_user", "audits name no agent", lambda: self.now)

    def call(self, *, fails: bool) -> str:
        def get_user() -> str:
            if fails:
                raise LookupError("s3cr3t")
            return "u-1"

        return self.guard.call(get_user, "nobody")


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "audit_handler")


def test_what_fails_is_told_once_by_type_and_place(caplog: pytest.LogCaptureFixture) -> None:
    failing = Failing()

    results = [failing.call(fails=fails) for fails in (True, False, True, False, True)]

    assert ["nobody", "u-1", "nobody", "u-1", "nobody"] == results
    (told,) = caplog.messages
    assert told.startswith(f"get_user failed (LookupError at {__file__}:")
    assert told.endswith("); audits name no agent")
    assert "s3cr3t" not in caplog.text


def test_what_has_worked_for_a_minute_works_again(caplog: pytest.LogCaptureFixture) -> None:
    failing = Failing()
    failing.call(fails=True)
    failing.now += 59
    failing.call(fails=False)
    failing.now += 1
    failing.call(fails=False)
    failing.call(fails=True)

    told = [message.partition(" (")[0] for message in caplog.messages]

    assert ["get_user failed", "get_user works again", "get_user failed"] == told
