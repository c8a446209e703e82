"""Error codes have ClickHouse's own names, and one remedy each."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from audit_handler.clickhouse._codes import (
    DATA_CODES,
    EXPRESSION_CODES,
    HTTP_REMEDIES,
    HTTP_SETUP_REMEDIES,
    SETUP_REMEDIES,
    TRANSIENT_REMEDIES,
    Code,
    HttpStatus,
)
from tests.support.engines import Engine

pytestmark = pytest.mark.once


CODES = {name: code for name, code in vars(Code).items() if not name.startswith("_")}


@pytest.mark.once
def test_every_code_has_the_name_that_the_engine_gives_it(engine: Engine) -> None:
    listed = ", ".join(map(str, CODES.values()))
    found = engine.query(
        "SELECT toInt32(code) AS code, errorCodeToName(code) AS name "
        f"FROM (SELECT arrayJoin([{listed}]) AS code)"
    )

    assert CODES == {row["name"]: row["code"] for row in found}


def test_every_status_has_its_usual_name() -> None:
    statuses = {name: code for name, code in vars(HttpStatus).items() if not name.startswith("_")}

    assert statuses == {name: HTTPStatus[name] for name in statuses}


def test_every_code_that_has_a_name_is_in_one_of_the_tables() -> None:
    sorted_codes = DATA_CODES | EXPRESSION_CODES | SETUP_REMEDIES.keys() | TRANSIENT_REMEDIES.keys()

    assert set(CODES.values()) == sorted_codes


def test_no_code_is_in_two_sets() -> None:
    assert not DATA_CODES & (EXPRESSION_CODES | SETUP_REMEDIES.keys())
    assert not TRANSIENT_REMEDIES.keys() & (DATA_CODES | SETUP_REMEDIES.keys())
    assert Code.TOO_MANY_PARTS not in DATA_CODES


def test_no_remedy_is_empty() -> None:
    remedies = [
        *SETUP_REMEDIES.values(),
        *TRANSIENT_REMEDIES.values(),
        *HTTP_REMEDIES.values(),
        *HTTP_SETUP_REMEDIES.values(),
    ]

    assert all(remedies)
    assert not HTTP_REMEDIES.keys() & HTTP_SETUP_REMEDIES.keys()
