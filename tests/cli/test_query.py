"""``query``: every query of ``sql/queries/`` runs by its name."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest

from audit_handler.schema import query_names
from tests.support.commands import run

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]

VALUES = {
    "by_request": ["request_id=r-1"],
    "by_resource": ["resource_type=order", "resource_id=o-1"],
    "by_user": ["agent_id=u-1"],
    "logins_outside_hours": ["timezone=UTC", "actions=READ,LOGIN", "opens=0", "closes=0"],
    "slow_requests": ["threshold_ms=100"],
    "who_read_what": ["actions=READ,EXPORT", "resource_type=order"],
}


READ = {
    "action": "READ",
    "agent_id": "u-1",
    "request_id": "r-1",
    "resource_type": "order",
    "resource_id": "o-1",
    "response_time_ms": 500,
    "outcome": "failure",
}
READERS: dict[str, Callable[[str], list[Any]]] = {
    "json": lambda text: list(json.loads(text)["rows"]),
    "ndjson": lambda text: [json.loads(line) for line in text.splitlines()],
    "csv": lambda text: list(csv.DictReader(StringIO(text))),
    "table": lambda text: [line for line in text.splitlines()[2:] if line.strip()][:1],
}


@pytest.fixture(scope="module")
def read_dsn(make_trail: Callable[..., str]) -> str:
    """A table with one event that every query finds."""
    return make_trail(events=[READ])


@pytest.mark.parametrize("name", query_names())
@pytest.mark.parametrize("form", list(READERS))
def test_every_question_is_answered_in_every_format(form: str, name: str, read_dsn: str) -> None:
    given = [word for value in VALUES.get(name, []) for word in ("--param", value)]
    result = run("query", name, "--dsn", read_dsn, "--format", form, *given)

    assert (0, 1) == (result.exit_code, len(READERS[form](result.stdout)))


def test_without_a_name_the_queries_are_listed_with_their_parameters() -> None:
    shown = run("query").stdout
    told = json.loads(run("query", "--json").stdout)["questions"]

    assert query_names() == [each["name"] for each in told]
    assert ["agent_id"] == next(each["params"] for each in told if each["name"] == "by_user")
    assert "What did this user do?" in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nonsense"], "use one of activity_by_day"),
        (["by_user"], "by_user needs --param agent_id=..."),
        (["by_user", "--param", "user=u-1"], "the parameters of by_user, as NAME=VALUE: agent_id"),
        (["top_users", "--param", "agent_id"], "the parameters of top_users, as NAME=VALUE: none"),
    ],
)
def test_an_impossible_query_is_exit_code_2(arguments: list[str], told: str) -> None:
    result = run("query", *arguments, "--dsn", "http://127.0.0.1:1")

    assert (2, True) == (result.exit_code, told in " ".join(result.stderr.split()))


def test_a_query_that_clickhouse_refuses_says_nothing_of_waiting_rows(read_dsn: str) -> None:
    given = ["timezone=Nowhere/X", "actions=READ", "opens=8", "closes=18"]
    words = [word for value in given for word in ("--param", value)]
    result = run("query", "logins_outside_hours", "--dsn", read_dsn, *words)

    assert 3 == result.exit_code
    assert "Nowhere/X" in result.stderr
    assert "spool" not in result.stderr
