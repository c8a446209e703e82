"""``query``: every question of sql/queries/ can be asked by its name."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from io import StringIO

import pytest

from audit_handler import AuditHandler
from audit_handler.schema import query_names
from tests.support.commands import audit, run
from tests.support.loopback import LoopbackClickHouse

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]

VALUES = {
    "by_request": ["request_id=r-1"],
    "by_resource": ["resource_type=order", "resource_id=o-1"],
    "by_user": ["agent_id=u-1"],
    "logins_outside_hours": ["timezone=UTC", "actions=READ,LOGIN", "opens=0", "closes=0"],
    "slow_requests": ["threshold_ms=100"],
    "who_read_what": ["actions=READ,EXPORT", "resource_type=order"],
}


@pytest.fixture
def dsn(
    faults: LoopbackClickHouse, database: str, make_handler: Callable[..., AuditHandler]
) -> str:
    """A table with one audit that every question finds; its dsn."""
    dsn = faults.dsn(database)
    run("init", "--dsn", dsn)
    handler = make_handler(dsn)
    audit(
        handler,
        action="READ",
        agent_id="u-1",
        request_id="r-1",
        resource_type="order",
        resource_id="o-1",
        response_time_ms=500,
        outcome="failure",
    )
    assert handler.flush(30.0)
    handler.close()
    return dsn


@pytest.mark.parametrize("name", query_names())
@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "table"])
def test_every_question_is_answered_in_every_format(form: str, name: str, dsn: str) -> None:
    given = [word for value in VALUES.get(name, []) for word in ("--param", value)]
    result = run("query", name, "--dsn", dsn, "--format", form, *given)
    rows = {
        "json": lambda told: json.loads(told)["rows"],
        "ndjson": lambda told: [json.loads(line) for line in told.splitlines()],
        "csv": lambda told: list(csv.DictReader(StringIO(told))),
        "table": lambda told: [line for line in told.splitlines()[2:] if line.strip()][:1],
    }[form](result.stdout)

    assert (0, 1) == (result.exit_code, len(rows))


def test_without_a_name_the_questions_are_listed_with_what_they_want() -> None:
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
        (["by_user", "--param", "user=u-1"], "by_user takes agent_id, as NAME=VALUE"),
        (["top_users", "--param", "agent_id"], "top_users takes none"),
    ],
)
def test_a_question_that_cannot_be_asked_is_exit_code_2(arguments: list[str], told: str) -> None:
    result = run("query", *arguments, "--dsn", "http://127.0.0.1:1")

    assert (2, True) == (result.exit_code, told in " ".join(result.stderr.split()))
