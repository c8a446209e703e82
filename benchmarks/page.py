"""
Run the benchmarks and write docs/PERFORMANCE.md: ``make bench``.

Each run writes its figures to ``.figures/performance/``, which git ignores. The page is made from
these figures alone, so ``--write`` can write it again without a measurement, and it is written only
when every benchmark has figures. ``--run NAME`` runs only some benchmarks. ``--against REVISION``
compares the cost of a logger call with that of another revision, in one run, and does not change
the page.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FIGURES = HERE.parent / ".figures" / "performance"
PAGE = HERE.parent / "docs" / "PERFORMANCE.md"
WHY = HERE / "why.md"
RUNS = {
    "logger_call": "One logger call",
    "logger_call_pure": "One logger call without the extension",
    "instructions": "Instructions of a logger call",
    "end_to_end": "From the logger call to ClickHouse",
    "outage": "Rows that wait, and catching up",
    "event_loop": "An asyncio loop",
    "group_commit": "Group commit",
    "start_up": "Start and end",
    "slow_disk": "A slow disk",
    "middleware": "A request",
}
# Runs of another benchmark, in another way: its file, its arguments, and its environment.
VARIANTS = {
    "logger_call_pure": (
        "logger_call",
        ["--rounds", "20", "--delivery-rounds", "1"],
        {"AUDIT_HANDLER_PURE": "1"},
    )
}
PURE = " without the extension"
QUEUE, OTEL = "QueueHandler", "OpenTelemetry SDK, batches"


@dataclass(frozen=True)
class Aim:
    """A line of the table of aims, made from the figures of all runs."""

    what: str
    aim: str
    figure: str
    unit: str = ""
    most: float = float("inf")
    least: float = float("-inf")
    beside: str = ""
    """The figure of a peer in the same run, which *figure* must not exceed."""

    def line(self, figures: Mapping[str, float]) -> str:
        value = figures.get(self.figure)
        if value is None:
            return f"| {self.what} | {self.aim} | not measured | |"
        if not self.aim:
            return f"| {self.what} | | {value:,.3g}{self.unit} | |"
        reached = self.least <= value <= self.most
        text = f"{value:,.3g}{self.unit}"
        if self.beside:
            peer = figures[self.beside]
            reached = reached and value <= peer
            text += f" (there {peer:,.3g}{self.unit})"
        return f"| {self.what} | {self.aim} | {text} | {'yes' if reached else '**no**'} |"


AIMS = (
    Aim(
        "durable audit call above NullHandler, against stdlib QueueHandler above NullHandler, "
        "full record",
        "<= 1.1",
        f"full record / {QUEUE}",
        most=1.1,
    ),
    Aim("the same with few extras", "<= 0.6", f"few extras / {QUEUE}", most=0.6),
    Aim(
        "against the OpenTelemetry SDK, full record", "<= 0.15", f"full record / {OTEL}", most=0.15
    ),
    Aim("the same from four threads", "<= 0.2", f"4 threads / {OTEL}", most=0.2),
    Aim(
        "against QueueHandler, full record, beside two threads that compute",
        "<= 2",
        f"beside two / {QUEUE}",
        most=2.0,
    ),
    Aim("without the extension: full record", "<= 5", f"full record / {QUEUE}{PURE}", most=5.0),
    Aim("without the extension: few extras", "<= 1.7", f"few extras / {QUEUE}{PURE}", most=1.7),
    Aim(
        "without the extension: full record, against the OpenTelemetry SDK",
        "<= 0.6",
        f"full record / {OTEL}{PURE}",
        most=0.6,
    ),
    Aim(
        "without the extension: four threads, against the OpenTelemetry SDK",
        "<= 0.6",
        f"4 threads / {OTEL}{PURE}",
        most=0.6,
    ),
    Aim(
        "without the extension: beside two threads that compute",
        "<= 6",
        f"beside two / {QUEUE}{PURE}",
        most=6.0,
    ),
    Aim(
        "the instructions of a call against those of QueueHandler, full record",
        "",
        f"instructions full record / {QUEUE}",
    ),
    Aim("the same with few extras", "", f"instructions few extras / {QUEUE}"),
    Aim(
        "a record that is not an audit event, above NullHandler",
        "<= 1 us",
        "not an audit above NullHandler",
        unit=" us",
        most=1.0,
    ),
    Aim(
        "p99.9 of a call during delivery at full rate",
        "<= 0.3 ms, and at most QueueHandler's with a busy listener",
        "p99.9 AuditHandler",
        unit=" ms",
        most=0.3,
        beside="p99.9 QueueHandler, busy listener",
    ),
    Aim("end to end against a bare raw_insert, HTTP", ">= 0.6", "HTTP / limit", least=0.6),
    Aim("end to end against a bare raw_insert, chDB", ">= 0.6", "chDB / limit", least=0.6),
    Aim(
        "delivery alone, of waiting rows, against a bare raw_insert, HTTP",
        "",
        "HTTP delivery / limit",
    ),
    Aim("end to end against single inserts, HTTP", ">= 400", "HTTP / single", least=400),
    Aim(
        "rows of a caller at full speed that are stored within 5 s of its last call",
        "100 %",
        "HTTP in grace",
        unit=" %",
        least=100.0,
    ),
    Aim(
        "p99 lag of an asyncio loop at 4,000 events/s, against QueueHandler's",
        "<= 0.9",
        "loop lag / QueueHandler",
        most=0.9,
    ),
    Aim(
        "an audited POST on Starlette above the bare application, against OpenTelemetry's",
        "<= 0.5",
        "POST on Starlette / OpenTelemetry",
        most=0.5,
    ),
    Aim(
        "memory with 1,000,000 waiting rows, above idle",
        "<= 100 MiB",
        "memory of waiting rows",
        unit=" MiB",
        most=100.0,
    ),
    Aim(
        "a call with 1,000,000 waiting rows against one with 1,000",
        "flat",
        "growth of a call",
        most=1.2,
    ),
    Aim(
        "import of `audit_handler` above `import logging`",
        "<= 40 ms",
        "import",
        unit=" ms",
        most=40.0,
    ),
    Aim(
        "what the delivery of its one row adds to the end of a short process, server on this "
        "machine",
        "<= 100 ms",
        "exit",
        unit=" ms",
        most=100.0,
    ),
)


def page() -> Iterator[str]:
    """Yield the lines of the page."""
    found = {
        name: json.loads((FIGURES / f"{name}.json").read_text(encoding="utf-8")) for name in RUNS
    }
    figures: dict[str, float] = {}
    for name, content in found.items():
        suffix = PURE if name in VARIANTS else ""
        figures.update({key + suffix: value for key, value in content["figures"].items()})
    yield from (
        "# Performance",
        "",
        "Written by `make bench` from the figures of its last run. Machines differ and are noisy:",
        "contestants take turns within one run, and tables show medians and quartiles. Compare",
        "only the ratio of two medians of one run. Server and application share the machine.",
        "",
    )
    machines = sorted({f"Python {one['python']}, {one['machine']}" for one in found.values()})
    yield from (*machines, "", "## Aims", "", "| what | aim | measured | reached |")
    yield "|---|---|---|---|"
    yield from (aim.line(figures) for aim in AIMS)
    yield from ("", WHY.read_text(encoding="utf-8").strip(), "")
    for name, title in RUNS.items():
        yield from (f"## {title}", "", f"`make bench ARGS='--run {name}'`", "")
        for part in found[name]["content"]:
            yield from _part(part)


def _part(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield from (part, "")
        return
    yield from (f"**{part['title']}**", "", "| " + " | ".join(part["headers"]) + " |")
    yield "|---|" + "---:|" * (len(part["headers"]) - 1)
    yield from ("| " + " | ".join(row) + " |" for row in part["rows"])
    yield ""


def main() -> int:
    """Run the benchmarks and write the page; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write the page, run no benchmark")
    parser.add_argument(
        "--run", choices=RUNS, nargs="*", default=list(RUNS), help="run only these benchmarks"
    )
    parser.add_argument("--against", help="compare a logger call with this git revision instead")
    arguments = parser.parse_args()
    if arguments.against:
        return _run("against", "--against", arguments.against)
    failed = []
    for name in [] if arguments.write else arguments.run:
        print(f"\n== {name}", flush=True)
        if _run(name, "--output", str(FIGURES / f"{name}.json")):
            failed.append(name)
    if missing := [name for name in RUNS if not (FIGURES / f"{name}.json").exists()]:
        print(f"\n{PAGE} is not changed: no figures of {', '.join(missing)} yet; run make bench")
    else:
        PAGE.write_text("\n".join(page()).rstrip() + "\n", encoding="utf-8")
        print(f"\nwrote {PAGE}")
    print("".join(f"{name} FAILED\n" for name in failed), end="")
    return 1 if failed else 0


def _run(name: str, *arguments: str) -> int:
    file, more, environment = VARIANTS.get(name, (name, [], {}))
    command = [sys.executable, str(HERE / f"{file}.py"), *more, *arguments]
    return subprocess.run(  # noqa: S603  # a file beside this one
        command, check=False, env={**os.environ, **environment}
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
