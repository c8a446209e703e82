"""The command line as tests call it: in this process, or as a program."""

from __future__ import annotations

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
    Run ``audit-handler`` with *arguments* in this process, not for chDB, and return what it said.

    *output* is stdout and stderr as they came, *stdout* and *stderr* each for itself.
    """
    result = CliRunner().invoke(main, [str(each) for each in arguments], **options)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def program(
    *arguments: object, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``audit-handler`` with *arguments* as a program, and return what it said."""
    return subprocess.run(
        command(*arguments),
        env=environment_with(environment or {}),
        capture_output=True,
        text=True,
        timeout=100,
    )


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "audit_handler.cli", *(str(each) for each in arguments)]


def environment_with(more: dict[str, str]) -> dict[str, str]:
    """Return the environment of this test, in which the program finds our package."""
    path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, "PYTHONPATH": path, **more}


def die_with_three_rows(dsn: str = "http://127.0.0.1:1/away") -> None:
    """Leave what a killed process leaves, in the spool of the environment."""
    command = [sys.executable, "-c", DIES, dsn]
    subprocess.run(command, env=environment_with({}), check=True, timeout=100)


def audit(handler: AuditHandler, **fields: Any) -> None:
    """Log one audit."""
    message = fields.pop("msg", "done")
    handler.handle(
        logging.makeLogRecord(
            {"name": "shop", "levelname": "INFO", "msg": message, "action": "UPDATE", **fields}
        )
    )
