"""The command line as tests call it: in this process, or as a program."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from typing import Any

from click.testing import CliRunner, Result

from audit_handler import AuditHandler
from audit_handler.cli import main
from tests.support.paths import SOURCE

DIES = """
import logging, os, sys
from audit_handler import AuditHandler
handler = AuditHandler(sys.argv[1])
for number in range(3):
    handler.handle(logging.makeLogRecord({"action": "DIE", "resource_id": str(number)}))
os._exit(0)
"""


def run(*arguments: object, **options: Any) -> Result:
    """
    Run ``audit-handler`` with *arguments* in this process, and return its result.

    Not for chDB. The *output* of the result is stdout and stderr, in the order of the writes.
    """
    result = CliRunner().invoke(main, [str(each) for each in arguments], **options)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def program(
    *arguments: object, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``audit-handler`` with *arguments* as a program, and return its result."""
    return subprocess.run(
        command(*arguments),
        env=environment_with(environment or {}),
        capture_output=True,
        text=True,
        timeout=100,
    )


def command(*arguments: object) -> list[str]:
    """Return the command that runs ``audit-handler`` with *arguments*."""
    return [sys.executable, "-m", "audit_handler.cli", *(str(each) for each in arguments)]


def found(*arguments: object) -> list[dict[str, Any]]:
    """Return the events that ``search`` finds with *arguments*."""
    result = run("search", *arguments, "--json")
    assert result.exit_code == 0
    events: list[dict[str, Any]] = json.loads(result.stdout)["events"]
    return events


def check_steps(*arguments: object) -> dict[str, tuple[str, str, str]]:
    """Return state, detail and remedy of each step of ``check`` with *arguments*."""
    result = run("check", *arguments, "--json")
    answer = json.loads(result.stdout)
    assert answer["is_ok"] == (result.exit_code == 0)
    return {
        each["step"]: (each["state"], each["detail"], each["remedy"]) for each in answer["steps"]
    }


def environment_with(more: dict[str, str]) -> dict[str, str]:
    """Return the environment of this test with *more*, and the path of our package."""
    path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, "PYTHONPATH": path, **more}


def die_with_three_rows(dsn: str = "http://127.0.0.1:1/away") -> None:
    """Leave three rows of an ended process in the spool of the environment."""
    command = [sys.executable, "-c", DIES, dsn]
    subprocess.run(command, env=environment_with({}), check=True, timeout=100)


def audit(handler: AuditHandler, **fields: Any) -> None:
    """Log one audit event."""
    message = fields.pop("msg", "done")
    handler.handle(
        logging.makeLogRecord(
            {"name": "shop", "levelname": "INFO", "msg": message, "action": "UPDATE", **fields}
        )
    )
