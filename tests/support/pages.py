"""
The pages of the documentation as programs: the code before their Python blocks, and the checks
after them.

The blocks of one page are one program, in their order. A reader sees only the blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import DOCS, ROOT

__all__ = ["PAGES", "Block", "blocks", "name_of", "program", "programs"]

PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

_CAPTURE = """\
from contextlib import ExitStack
from audit_handler.testing import capture_audits
_stack = ExitStack()
_rows = _stack.enter_context(capture_audits())
"""

BEFORE = {
    "docs/EVENTS.md": _CAPTURE,
    "docs/CONTEXT.md": _CAPTURE,
    "docs/WEB.md": _CAPTURE,
    "docs/POLICIES.md": _CAPTURE,
    "docs/INTEGRATIONS.md": _CAPTURE,
}
AFTER = {
    "docs/START.md": """\
logging.shutdown()
from chdb.session import Session
_found = Session(f"{data}/clickhouse").query("SELECT action FROM audit_db.audit_logs", "CSV")
assert str(_found).split() == ['"CREATE"'], _found
""",
    "docs/EVENTS.md": """\
assert ["PAY", "UPDATE", "SHIP"] == [row["action"] for row in _rows]
assert {"amount": 12} == _rows[0]["metadata"]
assert ({"status": "new"}, {"status": "paid"}) == (_rows[1]["old_value"], _rows[1]["new_value"])
assert "failure" == _rows[2]["outcome"]
assert "the carrier does not answer" in _rows[2]["error_message"]
""",
    "docs/CONTEXT.md": """\
_rows.one(action="PAY", agent_id="u-3", request_id="r-9")
_rows.one(action="UPDATE", agent_id="nightly-prices")
""",
    "docs/WEB.md": """\
from starlette.testclient import TestClient
TestClient(app).post("/api/orders/17")
_rows.one(action="CREATE", resource_type="orders", resource_id="17", status_code=404)
_rows.clear()
site.test_client().post("/api/orders/17").get_data()
_rows.one(action="CREATE", resource_type="orders", resource_id="17", status_code=404)
""",
    "docs/POLICIES.md": """\
from starlette.testclient import TestClient
_client = TestClient(app)
for _path in ("/api/login", "/api/health", "/api/orders"):
    _client.post(_path)
assert ["/api/login", "/api/orders"] == [row["endpoint"] for row in _rows]
assert "LOGIN" == _rows[0]["action"]
""",
    "docs/INTEGRATIONS.md": """\
_rows.one(action="PAY", resource_id="o-17", message="order paid")
_stack.close()
import logging.config
logging.config.dictConfig(LOGGING)
assert ["AuditHandler"] == [type(each).__name__ for each in logging.getLogger().handlers]
""",
    "docs/TESTING.md": """\
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from audit_handler.starlette import AuditMiddleware
def _create(request: Request) -> Response:
    return Response(status_code=201)
_app = Starlette(routes=[Route("/api/orders", _create, methods=["POST"])])
_app.add_middleware(AuditMiddleware)
test_an_order_is_audited(TestClient(_app))
""",
    "docs/STATUS.md": """\
from starlette.testclient import TestClient
from audit_handler import AuditHandler
_handler = AuditHandler()
_client = TestClient(app)
_paths = ("/health", "/health/live", "/health/ready", "/admin/audit-status")
assert [200, 200, 200, 403] == [_client.get(path).status_code for path in _paths]
_flask_client = site.test_client()
assert [200, 200, 200, 403] == [_flask_client.get(path).status_code for path in _paths]
""",
    "docs/FAILURES.md": """\
import signal
assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
""",
    "docs/QUERIES.md": "assert [] == list(rows.result_rows)\n",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    """Line of the page on which its content begins."""
    language: str
    text: str


def name_of(page: Path) -> str:
    """Return the path of *page* in the checkout."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of *page*."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start(2)) + 1
        yield Block(page=name_of(page), line=line, language=found[1], text=found[2])


def program(page: Path) -> str:
    """Return the Python blocks of *page*, with the code that they need; empty if there are none."""
    shown = [block.text for block in blocks(page) if block.language == "python"]
    if not shown:
        return ""
    name = name_of(page)
    return "\n\n".join([BEFORE.get(name, ""), *shown, AFTER.get(name, "")])


def programs() -> dict[str, str]:
    """Return the programs by the name of their page."""
    found = {name_of(page): program(page) for page in PAGES}
    return {name: text for name, text in found.items() if text}
