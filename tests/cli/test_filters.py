"""The options that select events."""

from __future__ import annotations

import pytest

from tests.support.commands import found, run

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        (["--user", "u-0"], 3),
        (["--action", "DELETE"], 1),
        (["--resource", "order/o-3"], 1),
        (["--resource", "/o-3"], 1),
        (["--request-id", "r-9"], 1),
        (["--outcome", "failure"], 1),
        (["--text", "ASSAM"], 1),
        (["--user", "u-0", "--action", "DELETE"], 0),
        (["--until", "2026-01-01", "--since", "2025-01-01"], 0),
        (["--since", "1h"], 6),
        (["--ip", "192.0.2.7"], 1),
        (["--ip", "::ffff:192.0.2.7"], 1),
        (["--ip", "2001:db8::1"], 0),
        (["--level", "info"], 6),
        (["--level", "ERROR"], 0),
        (["--min-status", 400], 1),
    ],
)
def test_search_finds_events_that_match_all_filters(
    options: list[str], rows: int, trail_dsn: str
) -> None:
    assert rows == len(found("--dsn", trail_dsn, *options))


def test_an_invalid_address_is_exit_code_2() -> None:
    result = run("search", "--dsn", "http://127.0.0.1:1", "--ip", "10.0.0")

    assert (2, True) == (result.exit_code, "'10.0.0' is not an address" in result.stderr)
