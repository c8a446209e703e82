"""The commands that read: ``search``, ``tail``, ``show``, ``report``, ``verify-completeness``."""

from __future__ import annotations

import csv
import json
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest

from audit_handler import AuditHandler
from tests.support.commands import audit, command, environment_with, program, run
from tests.support.loopback import LoopbackClickHouse

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


@pytest.fixture
def dsn(
    faults: LoopbackClickHouse, database: str, make_handler: Callable[..., AuditHandler]
) -> str:
    """A table with six audits, the last of which failed and holds a change; its dsn."""
    dsn = faults.dsn(database)
    run("init", "--dsn", dsn)
    handler = make_handler(dsn)
    for number in range(5):
        audit(handler, agent_id=f"u-{number % 2}", resource_type="order", resource_id=f"o-{number}")
    audit(
        handler,
        agent_id="u-9",
        action="DELETE",
        outcome="failure",
        request_id="r-9",
        ip_address="192.0.2.7",
        status_code=409,
        old_value={"total": 12, "name": "Assam"},
        new_value={"total": 13, "name": "Assam"},
        error_message="<b>no\x1b[31m stock</b>",
    )
    assert handler.flush(30.0)
    handler.close()
    return dsn


def found(*arguments: object) -> list[dict[str, object]]:
    result = run("search", *arguments, "--json")
    assert result.exit_code == 0
    events: list[dict[str, object]] = json.loads(result.stdout)["events"]
    return events


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
def test_search_finds_what_all_its_filters_describe(
    options: list[str], rows: int, dsn: str
) -> None:
    assert rows == len(found("--dsn", dsn, *options))


def test_the_pages_of_a_search_hold_each_event_once_newest_first(dsn: str) -> None:
    pages: list[list[dict[str, object]]] = []
    before: list[str] = []
    while True:
        answer = json.loads(run("search", "--dsn", dsn, "--limit", 4, "--json", *before).stdout)
        pages.append(answer["events"])
        if answer["next"] is None:
            break
        before = ["--before", answer["next"]]

    assert [4, 2] == [len(page) for page in pages]
    assert [6, 5, 4, 3, 2, 1] == [event["seq"] for page in pages for event in page]


def test_an_address_that_is_none_is_exit_code_2() -> None:
    result = run("search", "--dsn", "http://127.0.0.1:1", "--ip", "10.0.0")

    assert (2, True) == (result.exit_code, "'10.0.0' is no address" in result.stderr)


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_all_events_are_one_answer_without_a_limit(form: str, dsn: str) -> None:
    lines = run("search", "--dsn", dsn, "--all", "--format", form).stdout.splitlines()
    none = run("search", "--dsn", dsn, "--all", "--format", form, "--user", "nobody").stdout

    assert ([6, 5, 4, 3, 2, 1] if form == "ndjson" else 7) == (
        [json.loads(line)["seq"] for line in lines] if form == "ndjson" else len(lines)
    )
    assert (0 if form == "ndjson" else 1) == len(none.splitlines())


@pytest.mark.parametrize("option", [["--format", "table"], ["--json"]])
def test_all_events_are_not_held_to_make_one_table_of_them(option: list[str]) -> None:
    result = run("search", "--dsn", "http://127.0.0.1:1", "--all", *option)

    assert (2, True) == (result.exit_code, "--format ndjson or csv" in result.stderr)


@pytest.mark.parametrize("name", ["search", "tail"])
def test_every_format_holds_every_event(name: str, dsn: str) -> None:
    told = {
        form: run(name, "--dsn", dsn, "--format", form).stdout
        for form in ("table", "json", "csv", "ndjson")
    }
    ids = sorted(str(event["event_id"]) for event in found("--dsn", dsn))

    assert [] == [each for each in ids if each not in told["table"]]
    assert ids == sorted(event["event_id"] for event in json.loads(told["json"])["events"])
    assert ids == sorted(row["event_id"] for row in csv.DictReader(StringIO(told["csv"])))
    assert ids == sorted(json.loads(line)["event_id"] for line in told["ndjson"].splitlines())


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("name", ["search", "tail"])
def test_events_can_be_read_at_every_width_of_the_terminal(
    name: str, width: int, dsn: str, make_handler: Callable[..., AuditHandler]
) -> None:
    """Columns were squeezed to nothing at 80, and a long message filled 200 lines."""
    handler = make_handler(dsn)
    audit(handler, agent_id="a-user-with-a-long-name", msg="long " * 600)
    assert handler.flush(30.0)
    handler.close()
    shown = run(name, "--dsn", dsn, env={"COLUMNS": str(width)}).stdout
    ids = [str(event["event_id"]) for event in found("--dsn", dsn)]

    assert [] == [each for each in ids if each not in shown]
    assert ("o-4" in shown, "DELETE" in shown) == (True, True)
    assert len(shown.splitlines()) < 20
    assert max(map(len, shown.splitlines())) < 320


def test_tail_shows_the_newest_last(dsn: str) -> None:
    events = json.loads(run("tail", "--dsn", dsn, "-n", 2, "--json").stdout)["events"]

    assert [5, 6] == [event["seq"] for event in events]


@contextmanager
def following(dsn: str) -> Iterator[subprocess.Popen[str]]:
    """A ``tail -f`` that has said with its first line that it looks."""
    tail = subprocess.Popen(
        command("tail", "-f", "-n", 1, "--interval", 0.1, "--json", "--dsn", dsn),
        env=environment_with({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert tail.stdout is not None
        assert "DELETE" == json.loads(tail.stdout.readline())["action"]
        yield tail
    finally:
        tail.kill()
        tail.communicate()


def told_next(tail: subprocess.Popen[str]) -> dict[str, object]:
    assert tail.stdout is not None
    event: dict[str, object] = json.loads(tail.stdout.readline())
    return event


def test_tail_follows_what_arrives_until_it_is_interrupted(
    dsn: str, make_handler: Callable[..., AuditHandler]
) -> None:
    with following(dsn) as tail:
        handler = make_handler(dsn)
        audit(handler, action="ARRIVE")
        assert handler.flush(30.0)
        arrived = told_next(tail)
        tail.send_signal(signal.SIGINT)
        rest = tail.communicate(timeout=30)

    assert ("ARRIVE", 0, ("", "")) == (arrived["action"], tail.returncode, rest)


def test_tail_shows_every_event_of_a_burst_and_what_comes_after_it(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    """More at once than are fetched at once; it used to stand still before the rest."""
    burst = (
        f"INSERT INTO {database}.audit_logs (event_id, event_time, action, seq) "
        "SELECT generateUUIDv7(number), now64(6), '{}', number FROM numbers({})"
    )
    with following(dsn) as tail:
        faults.command(burst.format("BURST", 12_000))
        first = [told_next(tail)["seq"] for _ in range(12_000)]
        faults.command(burst.format("LATER", 1))
        later = told_next(tail)["action"]

    assert list(range(12_000)) == sorted(map(int, map(str, first)))
    assert "LATER" == later


def test_tail_goes_on_after_a_failure_and_says_so_once(
    dsn: str, faults: LoopbackClickHouse, make_handler: Callable[..., AuditHandler]
) -> None:
    looks = "^SELECT .*ingested_at >="
    with following(dsn) as tail:
        assert tail.stderr is not None
        faults.fault("http_status", status=502, match=looks, times=-1)
        failed = tail.stderr.readline()
        seen = len(faults.requests(match=looks))
        faults.wait_for_request(match=looks, count=seen + 2)
        faults.clear_faults()
        again = tail.stderr.readline()
        handler = make_handler(dsn)
        audit(handler, action="ARRIVE")
        assert handler.flush(30.0)
        arrived = told_next(tail)

    assert ("HTTP status 502", "trying again\n") == (failed[:15], failed[-13:])
    assert ("ClickHouse answers again\n", "ARRIVE") == (again, arrived["action"])


def test_show_marks_what_changed_and_lets_no_control_character_through(dsn: str) -> None:
    (event,) = found("--dsn", dsn, "--user", "u-9")
    lines = run("show", event["event_id"], "--dsn", dsn).stdout

    assert '-   "total": 12' in lines
    assert '+   "total": 13' in lines
    assert '    "name": "Assam"' in lines
    assert "\x1b" not in lines


def test_show_colours_the_change_on_a_terminal(dsn: str) -> None:
    (event,) = found("--dsn", dsn, "--user", "u-9")
    told = run("show", event["event_id"], "--dsn", dsn, env={"FORCE_COLOR": "1"}, color=True).stdout

    assert '\x1b[31m-   "total": 12' in told
    assert '\x1b[32m+   "total": 13' in told


def test_show_of_an_event_that_does_not_exist_is_exit_code_1(dsn: str) -> None:
    result = run("show", "00000000-0000-7000-8000-000000000000", "--dsn", dsn)

    assert (1, True) == (result.exit_code, "no event" in result.stderr)


def test_report_counts_events_failures_and_users(dsn: str) -> None:
    made = json.loads(run("report", "--dsn", dsn, "--json").stdout)

    assert (6, 1) == (made["events"], made["failures"])
    assert ["u-0", "u-1", "u-9"] == [user["agent_id"] for user in made["users"]]
    assert "6 events, 1 of them failures" in run("report", "--dsn", dsn).stdout


@pytest.mark.parametrize(
    ("days", "size", "bars"), [(50, 10, (49, 51)), (300, 10, (43, 44)), (700, 7, (23, 25))]
)
def test_a_long_time_is_drawn_by_the_week_or_month(
    days: int, size: int, bars: tuple[int, int], dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    """One bar a day filled 443 lines. Every third day nothing happened."""
    faults.command(
        f"INSERT INTO {database}.audit_logs (event_time, action) SELECT "
        f"now() - toIntervalDay(number), 'A' FROM numbers({days}) WHERE number % 3 != 1"
    )
    made = json.loads(run("report", "--dsn", dsn, "--since", f"{days}d", "--json").stdout)
    activity = made["activity"]

    assert bars[0] <= len(activity) <= bars[1]
    assert {size} == {len(row["time"]) for row in activity}
    assert made["events"] == sum(row["events"] for row in activity)
    assert sorted(row["time"] for row in activity) == [row["time"] for row in activity]


def test_the_page_of_a_report_loads_nothing_and_escapes_what_was_stored(
    dsn: str, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    result = run("report", "--dsn", dsn, "--html", page)
    html = page.read_text()

    assert 0 == result.exit_code
    assert "&lt;b&gt;no" in html
    assert [] == [part for part in ("<b>no", "\x1b", "<script", "src=", "href=") if part in html]


def test_the_page_of_a_report_is_for_its_user_alone(dsn: str, tmp_path: Path) -> None:
    run("report", "--dsn", dsn, "--html", tmp_path / "report.html")

    assert 0o600 == stat.S_IMODE((tmp_path / "report.html").stat().st_mode)


@pytest.mark.parametrize("command", [["report"], ["search"], ["tail"], ["search", "--json"]])
def test_what_the_terminal_cannot_print_is_escaped(
    command: list[str], dsn: str, make_handler: Callable[..., AuditHandler]
) -> None:
    handler = make_handler(dsn)
    audit(handler, agent_id="Żółć", outcome="failure")
    assert handler.flush(30.0)
    handler.close()
    result = program(*command, "--dsn", dsn, environment={"PYTHONIOENCODING": "ascii"})

    assert (0, "", True) == (result.returncode, result.stderr, "\\u017b" in result.stdout)
    assert command != ["report"] or "###" in result.stdout
