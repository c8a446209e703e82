"""
Instructions of one logger call, which do not depend on the speed of the machine.

Counted by valgrind's callgrind, in one process: those of a contestant's calls, less those of the
same calls with a `NullHandler`. The instructions of the kernel, for the ``write`` of
`AuditHandler`, are not among them. Needs valgrind.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from _measure import figure, parser, print_note, print_table, write_report
from logger_call import AUDIT, KINDS, NULL, OTEL, QUEUE, Contestant, without_delivery

WARM = 200
OUTPUT = "AUDIT_BENCH_CALLGRIND"


def control(*options: str) -> None:
    """Send a command to the valgrind that runs this process."""
    command = ["callgrind_control", *options, str(os.getpid())]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # the program of valgrind


def counted(work: Callable[[], object], output: Path) -> int:
    """Return the instructions of *work*."""
    known = set(output.parent.glob(f"{output.name}*"))
    control("--zero")
    work()
    control("--dump")
    (dump,) = set(output.parent.glob(f"{output.name}*")) - known
    found = re.search(r"^totals: (\d+)$", dump.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{dump} has no totals")
    return int(found[1])


def measure(calls: int, output: Path) -> list[tuple[str, dict[str, float]]]:
    """Return the instructions of one call by contestant, for each kind of record."""
    results = []
    with without_delivery(with_peers=True) as contestants:
        control("--instr=on")
        nothing = counted(lambda: None, output)
        for title, make in KINDS.items():
            extras = [make(number) for number in range(calls)]

            def of(contestant: Contestant, extras: list[dict[str, object]] = extras) -> float:
                contestant.turn(extras[:WARM], WARM)
                settle, contestant.settle = contestant.settle, lambda: None
                total = counted(lambda: contestant.turn(extras, calls), output)
                contestant.settle = settle
                settle()
                return (total - nothing) / calls

            results.append(
                (title, {name: of(contestants[name]) for name in (NULL, QUEUE, AUDIT, OTEL)})
            )
        control("--instr=off")
    return results


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--calls", type=int, default=300, help="calls that are counted")
    arguments = options.parse_args()
    missing = [name for name in ("valgrind", "callgrind_control") if not shutil.which(name)]
    if missing:
        print_note(f"Not measured on this machine: {' and '.join(missing)} is missing.")
        write_report(arguments.output)
        return
    if OUTPUT not in os.environ:
        with tempfile.TemporaryDirectory(prefix="audit-handler-bench-") as directory:
            output = f"{directory}/callgrind"
            command = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no"]
            command += [f"--callgrind-out-file={output}", sys.executable, *sys.argv]
            environment = {**os.environ, OUTPUT: output, "PYTHONHASHSEED": "0"}
            sys.exit(subprocess.run(command, env=environment, check=False).returncode)  # noqa: S603  # this file
    rows = []
    for title, found in measure(arguments.calls, Path(os.environ[OUTPUT])):
        above = {name: found[name] - found[NULL] for name in (QUEUE, AUDIT, OTEL)}
        for name, value in above.items():
            rows.append([f"{title}: {name}", f"{value:,.0f}", f"{above[AUDIT] / value:.2f}"])
        key = title.partition(" (")[0]
        figure(f"instructions {key} / {QUEUE}", above[AUDIT] / above[QUEUE])
        figure(f"instructions {key} / {OTEL}", above[AUDIT] / above[OTEL])
    print_table(
        f"Instructions of a call above NullHandler, over {arguments.calls} calls",
        ["", "instructions", "AuditHandler / it"],
        rows,
    )
    write_report(arguments.output)


if __name__ == "__main__":
    main()
