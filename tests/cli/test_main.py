"""The way from nothing to a searchable trail, the help, and the exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from audit_handler.cli import main
from tests.support.commands import environment_with, program, run
from tests.support.loopback import LoopbackClickHouse

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]

AWAY = "http://127.0.0.1:1"
EVENT = "00000000-0000-7000-8000-000000000000"


@pytest.mark.parametrize("place", ["http", "chdb"])
def test_a_new_operator_gets_a_searchable_trail(
    place: str, faults: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    """Each command is a process that knows only the dsn, and names the next step when it fails."""
    dsn = faults.dsn(database) if place == "http" else f"chdb://{tmp_path}/chdb/{database}"
    environment = {"CLICKHOUSE_URL": dsn}

    too_early = [program(*each, environment=environment) for each in (["search"], ["check"])]
    assert [3, 1] == [each.returncode for each in too_early]
    assert "audit-handler init" in too_early[0].stderr
    assert "audit-handler init" in too_early[1].stdout

    init = program("init", environment=environment)
    assert (0, "") == (init.returncode, init.stderr)
    assert "audit_logs is missing: created" in init.stdout

    checked = program("check", environment=environment)
    assert (0, "") == (checked.returncode, checked.stderr)
    assert "warning" not in checked.stdout

    loaded = program("load", "400", environment=environment)
    assert (0, "") == (loaded.returncode, loaded.stderr)
    assert re.match(r"400 rows in \d+ batch(es)?, [\d.]+ s, [\d,]+ rows/s\n", loaded.stdout)
    assert "every row is stored once" in loaded.stdout

    found = program(
        "search", "--user", "test-user-07", "--limit", "100", "--json", environment=environment
    )
    assert 20 == len(json.loads(found.stdout)["events"])

    whole = program("verify-completeness", environment=environment)
    assert (0, "complete: 401 rows of 2 writers") == (whole.returncode, whole.stdout[:31])


@pytest.mark.parametrize(
    "command", [["init"], ["load", "1"], ["search"], ["tail"], ["report"], ["verify-completeness"]]
)
def test_a_server_that_is_away_is_exit_code_3_and_a_remedy(command: list[str]) -> None:
    result = run(*command, "--dsn", AWAY)

    assert (3, "") == (result.exit_code, result.stdout)
    assert "refused; check host and port in the dsn" in result.stderr


def test_a_closed_output_is_no_error(trail_dsn: str) -> None:
    shell = 'exec "$@" >&- 2>&-'
    command = [sys.executable, "-m", "audit_handler.cli", "search", "--dsn", trail_dsn]
    done = subprocess.run(
        ["sh", "-c", shell, "sh", *command], env=environment_with({}), timeout=60, check=False
    )

    assert 0 == done.returncode


@pytest.mark.parametrize("name", ["audit; DROP TABLE x", "audit`", "a.b"])
def test_a_name_that_is_no_identifier_is_exit_code_2(name: str) -> None:
    result = run("search", "--dsn", AWAY, "--table", name)

    assert result.exit_code == 2
    assert "is not a plain SQL name" in result.output


@pytest.mark.parametrize("command", ["init", "check", "load", "search", "report", "spool"])
def test_help_names_the_options_of_the_command(command: str) -> None:
    assert "--json" in run(command, "--help").output


def all_commands(group: click.Group) -> Iterator[click.Command]:
    """Yield the commands of *group* and of the groups in it."""
    for each in group.commands.values():
        yield each
        if isinstance(each, click.Group):
            yield from all_commands(each)


@pytest.mark.parametrize("command", [*all_commands(main)], ids=lambda command: str(command.name))
def test_every_command_and_option_has_a_help_text(command: click.Command) -> None:
    options = [each for each in command.params if isinstance(each, click.Option)]

    assert "..." not in command.get_short_help_str(54)  # what a terminal of 80 columns leaves
    assert [] == [each.name for each in options if not each.help]


def test_help_explains_every_exit_code() -> None:
    told = run("--help").output

    assert [] == [code for code in "0123" if f"\n    {code}  " not in told]


@pytest.mark.parametrize(
    "command",
    ["init", "check", "load", "search", "tail", "report", "verify-completeness", "replay"],
)
def test_no_command_shows_a_password(command: str, guarded: LoopbackClickHouse) -> None:
    secret = "s3cr3t-and-wrong"
    result = run(command, "--dsn", guarded.dsn(password=secret), env={"AUDIT_SPOOL_DIR": "spool"})

    assert secret not in result.output
