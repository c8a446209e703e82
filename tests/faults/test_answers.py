"""
Answers that are no acknowledgement: redirects, pages, lies, and whatever a fuzzer makes of HTTP.

A proxy in front of the server makes them, with the request executed or not. Each acknowledged row
is stored once when the fault has ended.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from tests.faults.answers import EXCEPTION, INSERT, LATE_EXCEPTION, NOTHING, PAGE, Fuzzer
from tests.faults.staging import Application, Judge, Lines, trials
from tests.support.fault_proxy import (
    Fault,
    FaultProxy,
    Reach,
    answering,
    message,
    without_headers,
)
from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import Connect

pytestmark = [pytest.mark.once, pytest.mark.timeout(1_800)]

MakeApplication = Callable[..., Application]

ANSWERS = "an answer that is no acknowledgement"

# Of the fuzzer. The same answers in every run.
SEED = 20_261_127

STRIPPED = Fault(without_headers("X-ClickHouse"), times=None, closes=False)


@pytest.fixture
def proxy(faults: LoopbackClickHouse) -> Iterator[FaultProxy]:
    with FaultProxy(faults.port) as proxy:
        yield proxy


@pytest.fixture
def make_behind(
    faults: LoopbackClickHouse,
    proxy: FaultProxy,
    make_application: MakeApplication,
    database: str,
) -> MakeApplication:
    """Make an application whose connections lead through the proxy."""

    def make(**options: object) -> Application:
        dsn = f"http://127.0.0.1:{proxy.port}/{database}"
        return make_application(faults, dsn=dsn, **options)

    return make


# Each answer by name

NAMED = {
    **{
        f"a redirect, {status}": message(status, Location="http://127.0.0.1:1/elsewhere")
        for status in (301, 302, 303, 307, 308)
    },
    "a page, 200": message(200, PAGE, Content_Type="text/html"),
    "nothing, 200": message(200),
    "202": message(202),
    "204": message(204),
    "Code: 241 in a body, 200": message(200, EXCEPTION),
    "an exception after the headers, 200": message(200, LATE_EXCEPTION),
    "401 of a proxy": message(401, PAGE, Content_Type="text/html"),
    "404 of a proxy": message(404, PAGE, Content_Type="text/html"),
    "413 of a proxy": message(413, PAGE, Content_Type="text/html"),
    "a forged table error": message(404, EXCEPTION, X_ClickHouse_Exception_Code="60"),
    "a forged data error": message(400, EXCEPTION, X_ClickHouse_Exception_Code="27"),
    "an acknowledgement of another insert": message(
        200, X_ClickHouse_Query_Id="another", X_ClickHouse_Summary='{"written_rows":"50"}'
    ),
}


@pytest.mark.parametrize("reach", [Reach.NOTHING, Reach.ALL], ids=["not executed", "executed"])
@pytest.mark.parametrize("name", NAMED)
def test_an_answer_of_something_else_acknowledges_no_row(
    faults: LoopbackClickHouse,
    proxy: FaultProxy,
    make_behind: MakeApplication,
    judge: Judge,
    name: str,
    reach: Reach,
) -> None:
    app = make_behind(batch_size=50)
    proxy.arm(Fault(answering(NAMED[name]), match="INSERT INTO", reach=reach))
    app.audit(120)
    assert app.handler.flush()

    assert 1 == len(proxy.met)
    which = "executed" if reach is Reach.ALL else "not executed"
    judge(ANSWERS, f"{name}, {which}", faults, app.table, app.acknowledged)


@pytest.mark.parametrize("reach", [Reach.NOTHING, Reach.ALL], ids=["not executed", "executed"])
def test_no_answer_of_something_else_doubles_rows_that_cannot_be_looked_up(
    faults: LoopbackClickHouse,
    proxy: FaultProxy,
    make_behind: MakeApplication,
    judge: Judge,
    reach: Reach,
) -> None:
    app = make_behind(batch_size=50)
    app.audit(1)
    assert app.handler.flush()
    faults.deny(r"^\s*SELECT seq AS")
    try:
        for raw in NAMED.values():
            proxy.arm(*[Fault(answering(raw), match=INSERT, reach=reach)] * 2)
            app.audit(60)
            assert app.handler.flush(), app.handler.status().last_error
    finally:
        faults.deny()

    assert 2 * len(NAMED) == len(proxy.met)
    which = "executed" if reach is Reach.ALL else "not executed"
    fault = f"each of them twice, {which}, and no grant to look up"
    judge(ANSWERS, fault, faults, app.table, app.acknowledged, trials=len(NAMED))


@pytest.mark.parametrize("may_look_up", [True, False], ids=["", "no grant"])
def test_rows_that_are_too_large_for_a_proxy_are_stored_in_parts(
    faults: LoopbackClickHouse,
    proxy: FaultProxy,
    make_behind: MakeApplication,
    judge: Judge,
    may_look_up: bool,
) -> None:
    app = make_behind()
    app.audit(1)
    assert app.handler.flush()
    if not may_look_up:
        faults.deny(r"^\s*SELECT seq AS")
    too_large = Fault(
        answering(NAMED["413 of a proxy"]), reach=Reach.NOTHING, times=None, min_bytes=6_000
    )
    try:
        proxy.arm(too_large)
        chance = random.Random(SEED)
        for _ in range(40):
            app.audit(1, note=chance.randbytes(500).hex())  # does not compress
        assert app.handler.flush(), app.handler.status().last_error
    finally:
        faults.deny()

    assert proxy.met
    assert len(app.inserts()) > 2
    fault = "413 to each large request" + ("" if may_look_up else ", and no grant to look up")
    judge(ANSWERS, fault, faults, app.table, app.acknowledged)


def test_bad_rows_that_the_options_skip_fail_their_insert(
    faults: LoopbackClickHouse, make_behind: MakeApplication, judge: Judge
) -> None:
    """With these options, ClickHouse would store the good rows, and answer 200."""
    skipping = {"input_format_allow_errors_num": 100, "input_format_allow_errors_ratio": 1}
    app = make_behind(client_options={"settings": skipping})
    app.audit(1)
    assert app.handler.flush()
    faults.command(f"ALTER TABLE {app.table} ADD CONSTRAINT c CHECK resource_id != '7'")
    app.audit(20)
    assert not app.handler.flush()  # one row is rejected

    assert 1 == app.handler.status().rows_rejected
    assert {"0"} == {entry["settings"]["input_format_allow_errors_num"] for entry in app.inserts()}
    judge(ANSWERS, "rows skipped by an option", faults, app.table, app.acknowledged, reported=[7])


def test_a_proxy_that_removes_clickhouses_headers_is_named_once(
    faults: LoopbackClickHouse,
    proxy: FaultProxy,
    make_behind: MakeApplication,
    lines: Lines,
    judge: Judge,
) -> None:
    app = make_behind()
    proxy.arm(STRIPPED)
    for _ in range(3):
        app.audit(50)
        assert app.handler.flush()
    while_stripped = app.handler.status().last_error
    proxy.clear()
    app.audit(50)
    assert app.handler.flush()

    assert "UnconfirmedError" in while_stripped
    assert "" == app.handler.status().last_error
    assert 1 == len(lines.matching("acknowledgement does not arrive"))
    tokens = app.tokens()
    assert sorted(set(tokens)) == sorted(tokens)  # none was sent again
    judge(ANSWERS, "ClickHouse's headers removed", faults, app.table, app.acknowledged)


def test_without_headers_and_without_a_look_up_rows_wait(
    faults: LoopbackClickHouse, proxy: FaultProxy, make_behind: MakeApplication, judge: Judge
) -> None:
    app = make_behind()
    app.audit(50)
    assert app.handler.flush()
    faults.deny(r"^\s*SELECT seq AS")
    try:
        proxy.arm(STRIPPED)
        app.audit(50)
        was_flushed = app.handler.flush(0.2)
        proxy.clear()
        assert app.handler.flush()
    finally:
        faults.deny()

    assert not was_flushed
    fault = "ClickHouse's headers removed, and no grant to look up"
    judge(ANSWERS, fault, faults, app.table, app.acknowledged)


# The fuzzer


@pytest.mark.parametrize("behind", ["clickhouse", "a stripping proxy", "no grant to look up"])
def test_no_answer_that_a_fuzzer_makes_loses_or_doubles_a_row(
    faults: LoopbackClickHouse,
    proxy: FaultProxy,
    make_behind: MakeApplication,
    connect: Connect,
    judge: Judge,
    behind: str,
) -> None:
    # 2,000 with `make faults`.
    rounds = 20 * trials(3) // 3 + 1
    fuzzer = Fuzzer(SEED)
    connect(faults.dsn(), create_table=True).create_table()
    app = make_behind(create_table=False)  # a reconnect then takes half the time
    app.audit(1)
    assert app.handler.flush()
    if behind == "no grant to look up":
        faults.deny(r"^\s*SELECT seq AS")
    try:
        for number in range(rounds):
            armed = [
                fuzzer.fault(
                    fuzzer.chance.choice([INSERT, "SELECT seq AS", "DESCRIBE TABLE", NOTHING])
                )
                for _ in range(fuzzer.chance.randrange(3))
            ]
            armed.append(fuzzer.fault(INSERT))
            proxy.arm(*armed, *([STRIPPED] if behind == "a stripping proxy" else []))
            app.audit(fuzzer.chance.randrange(1, 6))
            assert app.handler.flush(), (number, armed, app.handler.status().last_error)
            (found,) = faults.query(
                f"SELECT count() AS n, uniqExact(seq) AS single FROM {app.table}"
            )
            expected = len(app.acknowledged)
            said = [(each.match, each.reach, each.answer(b"", b"")) for each in proxy.met]
            assert {"n": expected, "single": expected} == found, (number, said)
            proxy.clear()
    finally:
        faults.deny()

    fault = f"what a fuzzer answers, behind {behind}"
    judge(ANSWERS, fault, faults, app.table, app.acknowledged, trials=rounds)
