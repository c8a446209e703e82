"""The operators' guide names what there is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from audit_handler import _metrics
from audit_handler.cli import main
from audit_handler.clickhouse._codes import HTTP_REMEDIES, SETUP_REMEDIES, TRANSIENT_REMEDIES
from audit_handler.status import Status

pytestmark = pytest.mark.once

GUIDE = (Path(__file__).parents[1] / "docs" / "OPERATING.md").read_text(encoding="utf-8")


def test_every_metric_that_is_named_is_one_that_is_reported() -> None:
    assert _metrics.__doc__
    named = set(re.findall(r"`(audit\.[a-z.]+)`", GUIDE))

    assert len(named) >= 4
    assert set() == named - set(re.findall(r"audit\.[a-z.]+", _metrics.__doc__))


def test_every_command_that_is_named_exists() -> None:
    named = set(re.findall(r"`audit-handler ([a-z-]+)", GUIDE)) - {"--help"}

    assert len(named) >= 4
    assert set() == named - set(main.commands)


def test_every_error_code_that_is_named_has_a_remedy_and_every_passing_one_is_named() -> None:
    named = set(map(int, re.findall(r"`code (\d+)", GUIDE)))
    statuses = set(map(int, re.findall(r"`(?:HTTP status )?(\d{3})`", GUIDE)))

    assert set() == named - SETUP_REMEDIES.keys() - TRANSIENT_REMEDIES.keys()
    assert set() == TRANSIENT_REMEDIES.keys() - named
    assert {429, 502, 503, 504} == statuses & HTTP_REMEDIES.keys()


def test_every_number_of_the_status_that_is_named_exists() -> None:
    named = {"retries", "last_error"}

    assert [] == [name for name in named if name not in GUIDE]
    assert set() == named - {field.name for field in fields(Status)}
