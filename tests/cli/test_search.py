"""``search``: pages, and all events at once."""

from __future__ import annotations

import json

import pytest

from tests.support.commands import run

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


def test_the_pages_of_a_search_hold_each_event_once_newest_first(trail_dsn: str) -> None:
    pages: list[list[dict[str, object]]] = []
    before: list[str] = []
    while True:
        answer = json.loads(
            run("search", "--dsn", trail_dsn, "--limit", 4, "--json", *before).stdout
        )
        pages.append(answer["events"])
        if answer["next"] is None:
            break
        before = ["--before", answer["next"]]

    assert [4, 2] == [len(page) for page in pages]
    assert [6, 5, 4, 3, 2, 1] == [event["seq"] for page in pages for event in page]


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_all_events_are_one_answer_without_a_limit(form: str, trail_dsn: str) -> None:
    lines = run("search", "--dsn", trail_dsn, "--all", "--format", form).stdout.splitlines()
    none = run("search", "--dsn", trail_dsn, "--all", "--format", form, "--user", "nobody").stdout

    assert ([6, 5, 4, 3, 2, 1] if form == "ndjson" else 7) == (
        [json.loads(line)["seq"] for line in lines] if form == "ndjson" else len(lines)
    )
    assert (0 if form == "ndjson" else 1) == len(none.splitlines())


@pytest.mark.parametrize("option", [["--format", "table"], ["--json"]])
def test_all_events_are_not_collected_for_one_table(option: list[str]) -> None:
    result = run("search", "--dsn", "http://127.0.0.1:1", "--all", *option)

    assert (2, True) == (result.exit_code, "--format ndjson or csv" in result.stderr)
