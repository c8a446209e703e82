"""What users test their own audits with."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from audit_handler import Rule, bound, context
from audit_handler.starlette import AuditMiddleware
from audit_handler.testing import CapturedAudits, capture_audits
from tests.support.asgi import as_json, asked

AUDIT = {"action": "CREATE", "resource_type": "order", "resource_id": 17}


@pytest.fixture
def log(request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    context.clear()
    logger = logging.getLogger(f"shop.{request.node.name}")
    yield logger
    logger.handlers.clear()
    context.clear()


@pytest.fixture
def audits() -> Iterator[CapturedAudits]:
    """As the documentation shows it."""
    with capture_audits() as audits:
        yield audits


def test_a_fixture_collects_what_the_test_audits(
    audits: CapturedAudits, log: logging.Logger
) -> None:
    log.info("created", extra=AUDIT)

    assert "17" == audits.one(action="CREATE")["resource_id"]


def test_rows_are_as_they_would_be_stored(log: logging.Logger) -> None:
    with capture_audits(service_name="shop", redact_keys=["iban"]) as audits, bound(agent_id="u-3"):
        value = {"total": 12, "password": "hunter2", "iban": "DE02"}
        log.warning("order %d created", 17, extra={**AUDIT, "new_value": value, "zone": "eu"})
    row = dict(audits[0])

    assert re.fullmatch(r"[0-9a-f-]{36}", row.pop("event_id"))
    assert row.pop("event_time")
    assert {
        "action": "CREATE",
        "resource_type": "order",
        "resource_id": "17",
        "agent_id": "u-3",
        "new_value": {"total": 12, "password": "***REDACTED***", "iban": "***REDACTED***"},
        "outcome": "unknown",
        "service_name": "shop",
        "message": "order 17 created",
        "level": "WARNING",
        "logger": log.name,
        "zone": "eu",
        "metadata": {"zone": "eu"},
    } == row


def test_a_row_is_formed_when_it_is_logged(log: logging.Logger) -> None:
    value = {"total": 12}
    with capture_audits() as audits:
        log.info("created", extra={**AUDIT, "new_value": value})
        value["total"] = 99

    assert {"total": 12} == audits.one()["new_value"]


def test_records_that_are_no_audits_are_not_collected(log: logging.Logger) -> None:
    with capture_audits() as audits:
        log.info("created")
        log.info("created", extra={"action": None})
        logging.getLogger("audit_handler.handler").info("ours", extra=AUDIT)

    audits.none()
    assert 0 == len(audits)


def test_matching_takes_the_rows_that_have_all_fields(log: logging.Logger) -> None:
    with capture_audits() as audits:
        for agent in ("u-1", "u-2", None):
            log.info("x", extra={**AUDIT, "agent_id": agent})

    assert ["u-2"] == [row["agent_id"] for row in audits.matching(action="CREATE", agent_id="u-2")]
    assert 1 == len(audits.matching(agent_id=None))
    assert 3 == len(audits.matching()) == len(audits[:])
    audits.none(action="DELETE")
    audits.clear()
    audits.none()


def test_a_failed_check_shows_what_was_audited_and_what_differs(log: logging.Logger) -> None:
    with capture_audits() as audits:
        log.info("created", extra={"action": "CREATE", "resource_type": "order"})
    with pytest.raises(AssertionError) as failed:
        audits.one(action="DELETE", resource_type="order", agent_id="u-1")

    assert (
        "expected one row with action='DELETE', resource_type='order', agent_id='u-1', found 0 "
        "in 1 rows\n"
        f"  1. logger='{log.name}', outcome='unknown', message='created', action='CREATE', "
        "resource_type='order'\n"
        "       action: expected 'DELETE', is 'CREATE'\n"
        "       agent_id: expected 'u-1', is None"
    ) == str(failed.value)


def test_more_than_one_match_is_no_match(log: logging.Logger) -> None:
    with capture_audits() as audits:
        for _ in range(12):
            log.info("created", extra=AUDIT)

    with pytest.raises(AssertionError, match=r"found 12 in 12 rows(.|\n)*and 2 more$"):
        audits.one(action="CREATE")
    with pytest.raises(AssertionError, match="expected no row with action='CREATE', found 12"):
        audits.none(action="CREATE")


def test_a_failed_check_of_nothing_says_where_to_look(log: logging.Logger) -> None:
    with capture_audits() as audits:
        log.debug("too low", extra=AUDIT)

    with pytest.raises(AssertionError, match="is its level enabled"):
        audits.one()


def test_a_logger_that_passes_nothing_on_is_captured_by_its_name(log: logging.Logger) -> None:
    log.propagate = False
    with (
        capture_audits() as at_root,
        capture_audits(log.name) as by_name,
        capture_audits(log) as it,
    ):
        log.info("created", extra=AUDIT)
    log.propagate = True

    assert (0, 1, 1) == (len(at_root), len(by_name), len(it))


def test_level_and_handlers_are_as_before_afterwards(log: logging.Logger) -> None:
    """Also where the block raises; and a logger that lets all pass is not raised."""
    other = logging.NullHandler()
    log.addHandler(other)
    log.setLevel(logging.ERROR)
    with pytest.raises(ZeroDivisionError), capture_audits(log, level="DEBUG"):
        log.level / 0  # raised inside the block
    after = (log.level, log.handlers[:])
    with capture_audits(log, level="DEBUG"):
        lowered = log.level
    log.setLevel(logging.DEBUG)
    with capture_audits(log):
        not_raised = log.level

    expected = (logging.ERROR, [other], logging.DEBUG, logging.DEBUG)
    assert expected == (*after, lowered, not_raised)


def test_a_durable_rule_is_served_as_with_a_handler(log: logging.Logger) -> None:
    """And what the middleware works out is redacted by the keys of the block."""

    async def created(request: Request) -> Response:
        return JSONResponse(await request.json(), status_code=201)

    policy = [Rule(level="request", durable=True)]
    app = AuditMiddleware(
        Starlette(routes=[Route("/api/orders", created, methods=["POST"])]),
        logger=log,
        policy=policy,
    )

    with capture_audits(redact_keys=["name"]) as audits:
        answer = asked(app, **as_json({"name": "Tea"}))

    assert 201 == answer.status
    assert "resource_name" not in audits.one(action="CREATE")


def test_exceptions_and_patterns_are_as_with_a_handler(log: logging.Logger) -> None:
    value = {"token": "x", "password": "x", "note": "of CUST-0123456789"}

    with capture_audits(redact_except=["token"], redact_patterns=[r"CUST-\d+"]) as audits:
        log.info("created", extra={**AUDIT, "new_value": value})

    expected = {"token": "x", "password": "***REDACTED***", "note": "of ***REDACTED***"}
    assert expected == audits.one(action="CREATE")["new_value"]


def test_a_level_that_is_none_is_refused(log: logging.Logger) -> None:
    with pytest.raises(ValueError, match="LOUD"), capture_audits(log, level="LOUD"):
        pass

    assert [] == log.handlers


def test_blocks_may_be_nested_and_end_in_any_order(log: logging.Logger) -> None:
    log.setLevel(logging.ERROR)
    first, second = capture_audits(log), capture_audits(log)
    outer = first.__enter__()
    log.info("1", extra=AUDIT)
    inner = second.__enter__()
    log.info("2", extra=AUDIT)
    first.__exit__(None, None, None)
    log.info("3", extra=AUDIT)
    second.__exit__(None, None, None)
    log.info("4", extra=AUDIT)

    assert (["1", "2"], ["2", "3"]) == (
        [row["message"] for row in outer],
        [row["message"] for row in inner],
    )
    assert logging.ERROR == log.level


def test_what_other_threads_log_is_collected_and_nothing_is_lost(log: logging.Logger) -> None:
    def work() -> None:
        for _ in range(200):
            log.info("x", extra=AUDIT)

    with capture_audits() as audits:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert 800 == len(audits.matching(action="CREATE"))
    assert "<CapturedAudits: 800 rows>" == repr(audits)
