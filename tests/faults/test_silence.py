"""
Logging configurations that silence loggers, and what stands between an audit event and the spool:
the trouble is on stderr, every row is accounted for, and no durable request succeeds without its
row.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable
from logging.handlers import QueueHandler

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from audit_handler.policy import Rule
from audit_handler.starlette import AuditMiddleware
from tests.faults.staging import Application, Judge
from tests.support.loopback import LoopbackClickHouse
from tests.support.programs import World, output_of

SILENCED = "a logging configuration disables loggers"
STOPPED = "a level, filter, logger or queue stops an event"

DICT_CONFIG = "import logging.config\nlogging.config.dictConfig({'version': 1})\n"
FILE_CONFIG = """\
import io, logging.config
logging.config.fileConfig(io.StringIO(
    "[loggers]\\nkeys=root\\n[handlers]\\nkeys=\\n[formatters]\\nkeys=\\n"
    "[logger_root]\\nlevel=WARNING\\nhandlers=\\n"
))
"""
# The spool takes some 60 rows; nothing is delivered before the process ends.
PRELUDE = """\
import logging, os
from audit_handler import AuditHandler

handler = AuditHandler(
    create_table=True, flush_interval_ms=600_000, batch_bytes=65_536, max_spool_bytes=65_536,
    on_full="drop",
)
"""
PROGRAM = """
assert logging.getLogger("audit_handler.handler").disabled
log = logging.getLogger("shop")
log.disabled = False
log.addHandler(handler)
log.setLevel("INFO")
for number in range(100):
    dropped = handler.status().rows_dropped
    log.info("n", extra={
        "action": "COUNT", "resource_type": "number", "resource_id": str(number),
        "new_value": "y" * 1_000,
    })
    os.write(1, b"%d\\n" % number)
    if handler.status().rows_dropped > dropped:
        os.write(2, b"dropped %d\\n" % number)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("fault", "before", "after"),
    [
        ("dictConfig with its defaults after the import", "", DICT_CONFIG),
        ("fileConfig with its defaults after the import", "", FILE_CONFIG),
        ("dictConfig before and after it", DICT_CONFIG, DICT_CONFIG),
    ],
)
def test_dropped_rows_are_told_on_stderr_when_all_loggers_are_disabled(
    world: World, judge: Judge, fault: str, before: str, after: str
) -> None:
    process = world.start(PROGRAM, before + PRELUDE + after)
    printed, complaints = output_of(process)
    assert 0 == process.returncode, complaints.decode()
    lines = complaints.decode().splitlines()
    dropped = [int(line.split()[1]) for line in lines if line.startswith("dropped ")]
    told = [line for line in lines if line.startswith("An audit row was dropped, and later")]

    assert 1 == len(told), complaints.decode()
    assert 10 < len(dropped) < 90
    world.finish()
    with world.server() as server:
        acknowledged = [int(line) for line in printed.splitlines()]
        verdict = judge(SILENCED, fault, server, world.table, acknowledged, reported=dropped)
    assert (100, len(dropped)) == (verdict.acknowledged, verdict.reported)


def _behind_a_queue(app: Application) -> None:
    app.log.removeHandler(app.handler)
    app.log.addHandler(QueueHandler(queue.SimpleQueue()))


def _without_status(record: logging.LogRecord) -> bool:
    return not hasattr(record, "status_code")


OBSTACLES: dict[str, tuple[Callable[[Application], object], int]] = {
    "the handler's level": (lambda app: app.handler.setLevel(logging.WARNING), 503),
    "a filter of the handler": (lambda app: app.handler.addFilter(lambda _: False), 503),
    "a filter of the logger": (lambda app: app.log.addFilter(lambda _: False), 503),
    "a filter that knows after the route": (lambda app: app.log.addFilter(_without_status), 500),
    "a disabled logger": (lambda app: setattr(app.log, "disabled", True), 503),
    "the logger's level": (lambda app: app.log.setLevel(logging.WARNING), 503),
    "no handler": (lambda app: app.log.removeHandler(app.handler), 503),
    "a queue": (_behind_a_queue, 503),
}


@pytest.mark.parametrize("fault", OBSTACLES)
def test_no_durable_request_succeeds_without_its_row(
    fault: str,
    faults: LoopbackClickHouse,
    make_application: Callable[..., Application],
    judge: Judge,
    request: pytest.FixtureRequest,
) -> None:
    served: list[str] = []

    async def numbered(request: Request) -> Response:
        served.append(request.path_params["number"])
        return Response()

    app = make_application(faults)
    log, handlers, filters = app.log, list(app.log.handlers), list(app.log.filters)
    log.setLevel(logging.INFO)

    def end() -> None:
        log.handlers[:], log.filters[:], log.disabled = handlers, filters, False
        log.setLevel(logging.INFO)
        app.handler.setLevel(logging.NOTSET)
        app.handler.filters.clear()

    request.addfinalizer(end)
    site = Starlette(
        routes=[Route("/api/number/{number}", numbered, methods=["POST"])],
        middleware=[
            Middleware(AuditMiddleware, logger=log, policy=[Rule(level="metadata", durable=True)])
        ],
    )
    client = TestClient(site, raise_server_exceptions=False)
    begin, refusal = OBSTACLES[fault]
    statuses: dict[int, int] = {}
    for number in range(30):
        if number == 10:
            begin(app)
        if number == 20:
            end()
        statuses[number] = client.post(f"/api/number/{number}").status_code

    assert [200] * 10 + [refusal] * 10 + [200] * 10 == list(statuses.values())
    assert (30 if refusal == 500 else 20) == len(served)
    assert app.handler.flush(60)
    acknowledged = [number for number, status in statuses.items() if status == 200]
    judge(STOPPED, f"{fault}, 10 of 30 durable requests", faults, app.table, acknowledged)
