"""
The start and the end of a program: the import of the package, a handler, and the delivery of one
row.

Each number is the time of a new interpreter, with compiled modules, as they are installed. The
programs take turns. In *Milliseconds of a whole program* no server is there. *The end of a short
process* is the time from the last line of a program, which has logged one row a moment ago, to the
end of its process: it loads the driver, connects to a server on this machine (ClickHouse's own HTTP
server, in a process of its own), reads the table's columns and inserts the row. A program with the
same handler and without a row is its measure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from _measure import (
    SPREAD_HEADERS,
    Spread,
    figure,
    interleaved,
    listening,
    parser,
    print_table,
    scratch_directory,
    write_report,
)

HANDLER = "from audit_handler import AuditHandler"
PROGRAMS = {
    "python": "pass",
    "import logging": "import logging",
    "import logging, logging.config, logging.handlers": (
        "import logging, logging.config, logging.handlers"
    ),
    "import audit_handler": "import logging, audit_handler",
    HANDLER: f"import logging; {HANDLER}",
    "and a handler that logs one row, server away": (
        "import logging, os, tempfile\n"
        f"{HANDLER}\n"
        "handler = AuditHandler('http://127.0.0.1:1', spool_dir=tempfile.mkdtemp())\n"
        "handler.handle(logging.makeLogRecord({'action': 'X'}))\n"
        "os._exit(0)"
    ),
    "import opentelemetry.sdk._logs": "import logging, opentelemetry.sdk._logs.export",
    "import clickhouse_connect": "import logging, clickhouse_connect",
}
DRIVER = "import sys, audit_handler.handler; sys.exit('clickhouse_connect' in sys.modules)"
NO_ROW, ONE_ROW = "a handler and no row", "one row, delivered at the end"
ENDINGS = {NO_ROW: "", ONE_ROW: "handler.handle(logging.makeLogRecord({'action': 'X'}))\n"}


def run(program: str, environment: Mapping[str, str]) -> str:
    """Run *program* in a new interpreter; return its output."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603  # the programs above
    return done.stdout


def whole(program: str, environment: Mapping[str, str]) -> float:
    """Return the milliseconds of *program*."""
    began = time.perf_counter()
    run(program, environment)
    return (time.perf_counter() - began) * 1e3


def end(line: str, dsn: str, spool: Path, environment: Mapping[str, str]) -> float:
    """Return the milliseconds from the last line of a program to its end."""
    program = (
        f"import logging, time\n{HANDLER}\n"
        f"handler = AuditHandler({dsn!r}, spool_dir={str(spool)!r})\n"
        f"{line}"
        # The clock of all processes.
        "print(time.clock_gettime(time.CLOCK_MONOTONIC))"
    )
    last = float(run(program, environment))
    return (time.clock_gettime(time.CLOCK_MONOTONIC) - last) * 1e3


def print_programs(rounds: int, environment: Mapping[str, str]) -> None:
    """Measure and print whole programs."""
    results = interleaved(
        {name: partial(whole, program, environment) for name, program in PROGRAMS.items()}, rounds
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


def print_endings(rounds: int, environment: Mapping[str, str]) -> None:
    """Measure and print the end of a short process."""
    with scratch_directory() as directory, listening(directory) as server:
        dsn = server.dsn()
        # Creates the table.
        run(
            f"import logging\n{HANDLER}\n"
            f"handler = AuditHandler({dsn!r}, spool_dir='memory', create_table=True)\n"
            f"{ENDINGS[ONE_ROW]}assert handler.flush(60.0)",
            environment,
        )
        results = interleaved(
            {
                name: partial(end, line, dsn, directory / "spool", environment)
                for name, line in ENDINGS.items()
            },
            rounds,
        )
        found = int(server.query("SELECT count() AS n FROM audit_db.audit_logs")[0]["n"])
    if found != rounds + 1:
        sys.exit(f"{rounds + 1} rows were logged, {found} are stored")
    rows = [[name, *Spread.of(values).cells(0)] for name, values in results.items()]
    print_table("Milliseconds of the end of a short process", ["", *SPREAD_HEADERS], rows)
    paid = [one - none for one, none in zip(results[ONE_ROW], results[NO_ROW], strict=True)]
    figure("exit", Spread.of(paid).median)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=15)
    arguments = options.parse_args()
    with scratch_directory() as directory:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(directory / "compiled")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        if subprocess.run([sys.executable, "-c", DRIVER], env=environment, check=False).returncode:  # noqa: S603
            raise SystemExit("audit_handler loads the driver, which it must not")
        for program in PROGRAMS.values():
            run(program, environment)  # compiles the modules
        print_programs(arguments.rounds, environment)
        print_endings(arguments.rounds, environment)
    write_report(arguments.output)


if __name__ == "__main__":
    main()
