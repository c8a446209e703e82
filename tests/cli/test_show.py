"""``show``: one event, and what changed."""

from __future__ import annotations

import pytest

from tests.support.commands import found, run

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


def test_show_marks_the_change_and_escapes_control_characters(trail_dsn: str) -> None:
    (event,) = found("--dsn", trail_dsn, "--user", "u-9")
    lines = run("show", event["event_id"], "--dsn", trail_dsn).stdout

    assert '-   "total": 12' in lines
    assert '+   "total": 13' in lines
    assert '    "name": "Assam"' in lines
    assert "\x1b" not in lines


def test_show_colours_the_change_on_a_terminal(trail_dsn: str) -> None:
    (event,) = found("--dsn", trail_dsn, "--user", "u-9")
    told = run(
        "show", event["event_id"], "--dsn", trail_dsn, env={"FORCE_COLOR": "1"}, color=True
    ).stdout

    assert '\x1b[31m-   "total": 12' in told
    assert '\x1b[32m+   "total": 13' in told


def test_show_of_an_event_that_does_not_exist_is_exit_code_1(trail_dsn: str) -> None:
    result = run("show", "00000000-0000-7000-8000-000000000000", "--dsn", trail_dsn)

    assert (1, True) == (result.exit_code, "no event" in result.stderr)
