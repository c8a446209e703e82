"""A middleware that reaches no handler: the log, the status page and the health page say so."""

from __future__ import annotations

import gc
import json
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from audit_handler import AuditHandler
from audit_handler._http import HttpAuditor, HttpRules
from audit_handler._http.watch import obstacles
from audit_handler.status_pages import PUBLIC, HealthApp, StatusApp
from tests.support.asgi import private_logger
from tests.support.status_pages import NOBODY, ask

PRELUDE = """
import json, logging, logging.config
from audit_handler import AuditHandler
from audit_handler.starlette import AuditMiddleware
from audit_handler.status_pages import PUBLIC, HealthApp, StatusApp
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

log = logging.getLogger("audit")
log.setLevel("INFO")
handler = AuditHandler("http://127.0.0.1:1", spool_dir="memory", shutdown_timeout=0)
logging.getLogger().addHandler(handler)
# dictConfig closes the handlers that logging knows; the application keeps this one.
logging._handlerList.clear()
client = TestClient(
    Starlette(middleware=[Middleware(AuditMiddleware)]), raise_server_exceptions=False
)

def asked(app):
    answer = TestClient(app).get("/ready")
    return answer.status_code, answer.json()

def tell():
    for _ in range(2):
        client.post("/api/orders")
    print(json.dumps([
        *asked(HealthApp()), asked(StatusApp(authorize=PUBLIC))[1]["obstacles"],
        handler.status().rows_emitted,
    ]))
"""

UNNAMED = {"version": 1, "root": {"level": "WARNING"}}
CHANGES = {
    "dictConfig": f"logging.config.dictConfig({UNNAMED!r}); "
    "logging.getLogger().addHandler(handler)",
    "level": "logging.config.dictConfig({'version': 1, 'incremental': True, "
    "'loggers': {'audit': {'level': 'WARNING'}}})",
    "handler level": "handler.setLevel('ERROR')",
    "no handler": "logging.getLogger().removeHandler(handler)",
    "no propagation": "log.propagate = False",
    "another handler": "logging.getLogger().handlers[:] = [logging.StreamHandler()]",
    "logging.disable": "logging.disable(logging.WARNING)",
}
ENDS = {
    "dictConfig": "log.disabled = False",
    "level": "log.setLevel('INFO')",
    "handler level": "handler.setLevel('INFO')",
    "no handler": "logging.getLogger().addHandler(handler)",
    "no propagation": "log.propagate = True",
    "another handler": "logging.getLogger().handlers[:] = [handler]",
    "logging.disable": "logging.disable(logging.NOTSET)",
}
DISABLED = (
    "the logger 'audit' is disabled; set disable_existing_loggers to False in the logging "
    "configuration, or name the logger there"
)
UNREACHED = "the logger 'audit' reaches no AuditHandler; attach one"
REASONS = {
    "dictConfig": DISABLED,
    "level": "the logger 'audit' is not enabled for INFO; set its level",
    "handler level": (
        "the AuditHandler of the logger 'audit' is not enabled for INFO; set its level"
    ),
    "no handler": UNREACHED,
    "no propagation": UNREACHED,
    "another handler": UNREACHED,
    "logging.disable": "logging.disable stops INFO in the whole process; lower its level",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_after_the_middleware_was_built_is_told_once_until_it_ends(
    change: str,
) -> None:
    program = f"{PRELUDE}\ntell()\n{CHANGES[change]}\ntell()\n{ENDS[change]}\ntell()\n"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AUDIT_", "CLICKH"))}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )

    before, during, after = map(json.loads, done.stdout.splitlines())
    reason = REASONS[change]
    ready = [200, {"ready": True, "reasons": []}, []]
    assert [*ready, 2] == before
    assert [503, {"ready": False, "reasons": [reason]}, [reason], 2] == during
    assert [*ready, 4] == after
    told = [line for line in done.stderr.splitlines() if "No request is audited" in line]
    assert [f"No request is audited: {reason}"] == told


def test_two_middlewares_with_one_reason_tell_it_once() -> None:
    logger = private_logger(logging.INFO)
    auditors = [HttpAuditor(logger, None, HttpRules()) for _ in range(2)]

    assert [UNREACHED] == obstacles()
    assert 2 == len(auditors)


def test_a_middleware_that_is_gone_is_not_asked() -> None:
    auditor = HttpAuditor(private_logger(logging.INFO), None, HttpRules())
    del auditor
    gc.collect()

    assert [] == obstacles()


def test_a_handler_of_the_application_may_pass_records_on() -> None:
    class Forwarding(logging.Handler):
        pass

    auditor = HttpAuditor(private_logger(logging.INFO, Forwarding()), None, HttpRules())

    assert auditor.can_audit()
    assert [] == obstacles()


def test_a_disabled_logger_that_has_the_handler_is_told_without_a_middleware(
    make_handler: Callable[..., AuditHandler], log: logging.Logger, monkeypatch: Any
) -> None:
    made = make_handler(NOBODY, logger=log.name)
    assert () == made.status().obstacles

    monkeypatch.setattr(log, "disabled", True)

    (reason,) = made.status().obstacles
    assert reason.startswith(f"the logger {log.name!r} is disabled; ")
    assert (503, [reason]) == (
        ask(HealthApp(made), "/ready")[0],
        ask(HealthApp(made), "/ready")[1]["reasons"],
    )
    (shown,) = ask(StatusApp(handlers=made, authorize=PUBLIC), "/")[1]["handlers"]
    assert [reason] == shown["obstacles"]
