"""The pages for operators name metrics, codes and numbers that exist."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
import yaml

from audit_handler._delivery import metrics
from audit_handler.clickhouse._codes import HTTP_REMEDIES, SETUP_REMEDIES, TRANSIENT_REMEDIES
from audit_handler.status import Status
from tests.support.paths import DOCS

pytestmark = pytest.mark.once

GUIDE, STATUS, TROUBLES = (
    (DOCS / name).read_text(encoding="utf-8")
    for name in ("OPERATING.md", "STATUS.md", "TROUBLESHOOTING.md")
)


def test_every_named_metric_is_reported() -> None:
    assert metrics.__doc__
    reported = set(re.findall(r"audit\.[a-z.]+[a-z]", metrics.__doc__))
    named, listed = (set(re.findall(r"`(audit\.[a-z.]+)`", text)) for text in (GUIDE, STATUS))

    assert len(named) >= 4
    assert set() == named - reported
    assert reported == listed


class NamingMeter:
    """Names instruments as OpenTelemetry's exporter for Prometheus does."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def _name(self, name: str, unit: str, *endings: str) -> None:
        measured = {"By": "_bytes", "s": "_seconds"}.get(unit, "")
        self.names |= {f"{name.replace('.', '_')}{measured}{ending}" for ending in endings}

    def create_observable_counter(self, name: str, *_: object, unit: str, **__: object) -> None:
        self._name(name, unit, "_total")

    def create_observable_gauge(self, name: str, *_: object, unit: str, **__: object) -> None:
        self._name(name, unit, "")

    def create_histogram(self, name: str, *, unit: str, **_: object) -> None:
        self._name(name, unit, "_bucket", "_count", "_sum")


def test_every_alert_rule_asks_for_metrics_that_are_exported() -> None:
    meter = NamingMeter()
    metrics.make_instruments(meter)
    (group,) = yaml.safe_load(GUIDE.partition("```yaml\n")[2].partition("```")[0])["groups"]
    asked = [set(re.findall(r"audit_(?!target)\w+", rule["expr"])) for rule in group["rules"]]

    assert len(asked) >= 7
    assert all(asked)
    assert set() == set().union(*asked) - meter.names


def test_every_error_code_that_is_named_has_a_remedy_and_every_passing_one_is_named() -> None:
    named = set(map(int, re.findall(r"`code (\d+)", TROUBLES)))
    statuses = set(map(int, re.findall(r"`(?:HTTP status )?(\d{3})`", TROUBLES)))

    assert set() == named - SETUP_REMEDIES.keys() - TRANSIENT_REMEDIES.keys()
    assert set() == TRANSIENT_REMEDIES.keys() - named
    assert {429, 502, 503, 504} == statuses & HTTP_REMEDIES.keys()


def test_every_number_of_the_status_that_is_named_exists() -> None:
    named = {"retries", "last_error"}

    assert [] == [name for name in named if name not in GUIDE]
    assert set() == named - {field.name for field in fields(Status)}
