"""Characters that the terminal cannot show are escaped."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.commands import program

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


@pytest.fixture(scope="module")
def polish_dsn(make_trail: Callable[..., str]) -> str:
    """The six events, and one with a user that is not ASCII."""
    return make_trail({"agent_id": "Żółć", "outcome": "failure"})


@pytest.mark.parametrize("command", [["report"], ["search"], ["tail"], ["search", "--json"]])
def test_characters_that_the_terminal_cannot_print_are_escaped(
    command: list[str], polish_dsn: str
) -> None:
    result = program(*command, "--dsn", polish_dsn, environment={"PYTHONIOENCODING": "ascii"})

    assert (0, "", True) == (result.returncode, result.stderr, "\\u017b" in result.stdout)
    assert command != ["report"] or "###" in result.stdout
