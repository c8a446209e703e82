"""
The start of a program: the import of the package, and a handler that logs one row.

Each number is the time of a new interpreter, whose own start is the first row. The programs take
turns.
"""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial

from _measure import SPREAD_HEADERS, Spread, figure, interleaved, parser, print_table, write_report

PROGRAMS = {
    "python": "pass",
    "import logging": "import logging",
    "import logging, logging.config, logging.handlers": (
        "import logging, logging.config, logging.handlers"
    ),
    "import audit_handler": "import logging, audit_handler",
    "and a handler that logs one row, server away": (
        "import logging, os, tempfile\n"
        "from audit_handler import AuditHandler\n"
        "handler = AuditHandler('http://127.0.0.1:1', spool_dir=tempfile.mkdtemp())\n"
        "handler.handle(logging.makeLogRecord({'action': 'X'}))\n"
        "os._exit(0)"
    ),
    "import opentelemetry.sdk._logs": "import logging, opentelemetry.sdk._logs.export",
    "import clickhouse_connect": "import logging, clickhouse_connect",
}
DRIVER = "import sys, audit_handler; sys.exit('clickhouse_connect' in sys.modules)"


def milliseconds(program: str) -> float:
    """Run *program* in a new interpreter; return its milliseconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603  # the programs above
    return (time.perf_counter() - began) * 1e3


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=15)
    arguments = options.parse_args()
    if subprocess.run([sys.executable, "-c", DRIVER], check=False).returncode:  # noqa: S603
        raise SystemExit("import audit_handler loads the driver, which it must not")
    results = interleaved(
        {name: partial(milliseconds, program) for name, program in PROGRAMS.items()},
        arguments.rounds,
    )
    base = results["import logging"]
    rows = []
    for name, values in results.items():
        above = Spread.of([a - b for a, b in zip(values, base, strict=True)]).median
        rows.append([name, *Spread.of(values).cells(0), f"{above:.0f}"])
        if name == "import audit_handler":
            figure("import", above)
    print_table(
        "Milliseconds of a whole program", ["", *SPREAD_HEADERS, "above import logging"], rows
    )
    write_report(arguments.output)


if __name__ == "__main__":
    main()
