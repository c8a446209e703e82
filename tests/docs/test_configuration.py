"""The page of the options lists all of them, with the right defaults and variables."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields

import pytest

from audit_handler import AuditHandler
from audit_handler.config import _VARIABLE_OF, PROFILES, VARIABLES, Settings
from tests.support.paths import DOCS

pytestmark = pytest.mark.once

PAGE = (DOCS / "CONFIGURATION.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip().strip("`") for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| `")
]
OPTIONS = {row[0]: row for row in ROWS if len(row) == 4 and "://" not in row[0]}


def test_every_argument_of_the_handler_has_a_line() -> None:
    arguments = set(inspect.signature(AuditHandler).parameters) - {"level"}

    assert arguments == OPTIONS.keys() - PROFILES.keys()


def test_every_variable_stands_beside_its_option() -> None:
    told = {name: row[1] for name, row in OPTIONS.items() if row[1] and name != "dsn"}

    assert _VARIABLE_OF == {
        name: variable for name, variable in told.items() if name in _VARIABLE_OF
    }
    assert set() == VARIABLES.keys() - set(told.values())


def test_every_default_is_the_one_that_the_option_has() -> None:
    defaults = {field.name: field.default for field in fields(Settings)}
    units = {"MiB": 1024**2, "GiB": 1024**3}
    for name, row in OPTIONS.items():
        text = row[2]
        if number := re.fullmatch(r"([\d,.]+)( \w+)?", text):
            value = float(number[1].replace(",", "")) * units.get((number[2] or "").strip(), 1)

            assert value == defaults[name], name
        elif name in (
            *("capture", "on_full", "fsync", "redact_default_keys", "list_redacted"),
            *("async_insert", "hold_gil"),
        ):
            assert text == str(defaults[name]), name


def test_every_profile_has_its_sizes() -> None:
    told = re.findall(r"^\| `(\w+)` \| ([\d,]+) \| ([\d,]+) \|$", PAGE, re.MULTILINE)
    sizes = {
        name: {
            "batch_size": int(rows.replace(",", "")),
            "flush_interval_ms": int(wait.replace(",", "")),
        }
        for name, rows, wait in told
    }

    assert PROFILES == sizes
