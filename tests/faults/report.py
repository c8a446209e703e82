"""
Runs the fault suite at full length and prints its verdicts: ``python -m tests.faults.report``.

Writes ``fault-report.json`` too, from which docs/RELIABILITY.md is made: when and where it ran, the
time it took, and one entry for each fault, with the fields of ``tests.verdicts.Verdict``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults import results

__all__ = ["main"]

COUNTS = ("trials", "acknowledged", "stored", "lost", "doubled", "reported")
# The rows of the failure table, in its order; a fault of another row would come last.
ORDER = (
    "ClickHouse down",
    "connection reset",
    "an answer that",
    "429",
    "unknown table",
    "a row that",
    "the table refuses",
    "a column that the user",
    "a materialized view",
    "more rows rejected",
    "a value that",
    "events of the past",
    "deduplication tokens",
    "kill -9 of the application",
    "kill -9 of the server",
    "kill -9 of a real server",
    "one of two shards is killed or paused",
    "one of two shards in Docker",
    "processes",
    "fork",
    "closed while",
    "disk full",
    "the driver logs",
    "embedded chDB",
    "two applications",
    "the dsn changes",
    "clock",
    "foreign files",
    "a logging configuration",
    "a level, filter",
    "a backfill",
    "everything at once",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run pytest, print the table, write the JSON; return pytest's status, or 1 if not whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--trials",
        type=int,
        default=100,
        help="kills of the server and of chDB; ten times as many of an application over HTTP",
    )
    parser.add_argument("--output", type=Path, default=Path("fault-report.json"))
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        lines = Path(directory) / "verdicts"
        lines.touch()
        environment = {
            **os.environ,
            "AUDIT_FAULT_REPORT": str(lines),
            "AUDIT_FAULT_TRIALS": str(given.trials),
            "AUDIT_CRASH_DEPTH": os.environ.get("AUDIT_CRASH_DEPTH", "2"),
        }
        here = Path(__file__).parent
        tests = [str(here), str(here.with_name("_process") / "test_registry.py")]
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", *tests, *given.pytest]
        status = subprocess.run(command, env=environment, check=False).returncode
        verdicts = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    verdicts.sort(key=lambda verdict: (_place(verdict["row"]), verdict["fault"]))
    totals = {name: sum(verdict[name] for verdict in verdicts) for name in COUNTS}
    report = {
        "seconds": round(time.monotonic() - began, 1),
        "passed": status == 0,
        "totals": totals,
        "faults": verdicts,
    }
    results.write(given.output, report)
    sys.stdout.write(_table(report))
    return status or int(bool(totals["lost"] or totals["doubled"]))


def _place(row: str) -> tuple[int, str]:
    return next((n for n, start in enumerate(ORDER) if row.startswith(start)), len(ORDER)), row


def _table(report: dict[str, Any]) -> str:
    width = max([60, *(len(verdict["fault"]) + 2 for verdict in report["faults"])])
    head = f"{'fault':{width}}" + "".join(f"{name:>14}" for name in COUNTS)
    lines = ["", head, "-" * len(head)]
    row = None
    for verdict in report["faults"]:
        if verdict["row"] != row:
            row = verdict["row"]
            lines.append(row)
        lines.append(_line(f"  {verdict['fault']}", verdict, width))
    lines += ["-" * len(head), _line("total", report["totals"], width)]
    lines.append(f"{len(report['faults'])} faults in {report['seconds']} s")
    return "\n".join(lines) + "\n"


def _line(title: str, counts: dict[str, int], width: int) -> str:
    return f"{title:{width}}" + "".join(f"{counts[name]:>14,}" for name in COUNTS)


if __name__ == "__main__":
    sys.exit(main())
