"""The README fits on a screen, and its figures are the measured ones."""

from __future__ import annotations

import re

import pytest

from tests.support.paths import DOCS, ROOT

pytestmark = pytest.mark.once

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_fits_on_a_screen() -> None:
    assert len(README.splitlines()) <= 80


def test_its_first_example_keeps_the_loggers_that_exist() -> None:
    example = README.partition("```python\n")[2].partition("```")[0]

    assert '"disable_existing_loggers": False' in example


def test_it_names_the_commands_that_set_everything_up() -> None:
    assert [] == [name for name in ("`make demo`", "`make test`") if name not in README]


def test_its_figures_are_those_of_the_fault_tests() -> None:
    measured = re.search(
        r"(\d+) faults, ([\d,]+) trials, ([\d,]+) acknowledged rows: "
        r"\*\*(\d+) lost, (\d+) duplicated",
        (DOCS / "RELIABILITY.md").read_text(encoding="utf-8"),
    )
    told = re.search(
        r"\*\*(\d+)\s+ways,\s+([\d,]+)\s+times,\s+while\s+([\d,]+)\s+rows\s+were\s+logged:"
        r"\s+(\d+)\s+rows\s+were\s+lost\s+and\s+(\d+)\s+were\s+duplicated\*\*",
        README,
    )
    assert measured is not None
    assert told is not None

    assert measured.groups() == told.groups()
