"""
Runs everything in this directory at full length and writes docs/RELIABILITY.md: ``make faults``.

Each run leaves its figures in ``.figures/reliability/``, which git ignores. The page is made from
them and from nothing else, so it can be written again without measuring again (``--write``), and it
is written only when every run has left figures. With arguments for pytest only those fault tests
are run, and the page stays as it is.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tests.faults import results
from tests.support.paths import DOCS

__all__ = ["main", "page"]

PAGE = DOCS / "RELIABILITY.md"
# In this order; each takes --output. The soak draws a new seed each time.
RUNS: dict[str, list[str]] = {
    "suite": ["tests.faults.report", "--trials", "100"],
    "soak": ["tests.faults.soak", "--seconds", "60"],
    "outage": ["tests.faults.outage"],
    "peers": ["tests.faults.peers"],
}
COUNTS = ("trials", "acknowledged", "stored", "lost", "doubled", "reported")


def main(given: Sequence[str] | None = None) -> int:
    """Run what is asked for; return 1 if any run found a row that was lost or doubled."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write the page, run nothing")
    parser.add_argument("--run", choices=RUNS, nargs="*", default=list(RUNS), help="only these")
    arguments, for_pytest = parser.parse_known_args(given)
    if for_pytest:
        return _run([*RUNS["suite"], "--", *for_pytest])
    failed = []
    for name in [] if arguments.write else arguments.run:
        print(f"== {name}", flush=True)
        if _run([*RUNS[name], "--output", str(results.DIRECTORY / f"{name}.json")]):
            failed.append(name)
    if missing := [name for name in RUNS if not (results.DIRECTORY / f"{name}.json").exists()]:
        print(f"{PAGE} is left as it is: no figures of {', '.join(missing)} yet; run make faults")
    else:
        PAGE.write_text("\n".join(page()) + "\n", encoding="utf-8")
        print(f"wrote {PAGE}")
    print("".join(f"{name} FAILED\n" for name in failed), end="")
    return 1 if failed else 0


def _run(arguments: list[str]) -> int:
    return subprocess.run([sys.executable, "-m", *arguments], check=False).returncode


def page() -> Iterator[str]:
    """Yield the page's lines."""
    yield INTRODUCTION
    for name, write in (("suite", _suite), ("soak", _soak), ("outage", _outage), ("peers", _peers)):
        yield from write(results.read(results.DIRECTORY / f"{name}.json"))
    yield NOT_PROVEN


def _suite(suite: dict[str, Any]) -> Iterator[str]:
    totals = suite["totals"]
    yield "## Each fault\n"
    yield (
        f"{len(suite['faults'])} faults, {totals['trials']:,} trials, "
        f"{totals['acknowledged']:,} acknowledged rows: **{totals['lost']:,} lost, "
        f"{totals['doubled']:,} doubled**. {_where(suite)}\n"
    )
    yield (
        "Each test stages its fault, proves that it happened, recovers, compares the table by SQL "
        "with what was acknowledged and with the numbering of each writer, and goes on writing. "
        "*Reported* rows are those that the handler could not take or ClickHouse refused: they are "
        "counted, logged, and in `rejected/` or in a row that tells how many were dropped. One "
        "test alone: `make faults ARGS='-k name'`, with its name from the last column.\n"
    )
    yield from _table(["fault", *COUNTS, "test"], _suite_rows(suite["faults"]))


def _suite_rows(faults: Iterable[dict[str, Any]]) -> Iterator[list[str]]:
    row = None
    for fault in faults:
        if fault["row"] != row:
            row = fault["row"]
            yield [f"**{row}**", *[""] * (len(COUNTS) + 1)]
        name = fault["test"].rpartition("::")[2].partition("[")[0]
        yield [fault["fault"], *(f"{fault[count]:,}" for count in COUNTS), f"`{name}`"]


def _soak(soak: dict[str, Any]) -> Iterator[str]:
    verdict = soak["verdict"]
    yield "## Everything at once\n"
    yield (
        f"`make soak ARGS='--seconds {soak['chaos_seconds']:g} --seed {soak['seed']}'`: "
        f"{soak['applications']} applications with threads, asyncio tasks and forked children, two "
        f"tables, one spool directory, one server. For {soak['chaos_seconds']:g} s something was "
        f"broken every quarter of a second; applications were started {soak['generations']} times, "
        f"and {verdict['writers']:,} processes wrote. Then everything was made well, and the rest "
        f"was delivered in {soak['recovery_seconds']} s. {_where(soak)}\n"
    )
    names = ("acknowledged", "stored", "lost", "doubled", "foreign")
    yield from _table(list(names), [[f"{verdict[name]:,}" for name in names]])
    yield (
        "*Foreign* are rows of one table's applications in the other table, or that nobody logged. "
        f"{verdict['unacknowledged']:,} rows are stored besides, whose call was cut off by a kill "
        "before it returned. What was done:\n"
    )
    yield from _table(["fault", "times"], [[name, f"{n:,}"] for name, n in soak["done"].items()])


def _outage(outage: dict[str, Any]) -> Iterator[str]:
    memory = outage["memory"]
    yield "## An outage\n"
    yield (
        f"`make faults ARGS='--run outage'`: the server is gone while one application logs "
        f"{outage['rows']:,} rows, {outage['logged_per_second']:,} a second; "
        f"{outage['waiting_bytes'] / 1e6:,.0f} MB wait on disk. "
        f"When the server is back they arrive in {outage['recovery_seconds']} s, "
        f"**{outage['recovered_per_second']:,} rows a second**. The same application logs and "
        f"delivers {outage['normal_per_second']:,} rows a second when nothing is wrong, and "
        f"{outage['normal_again_per_second']:,} afterwards. Of {outage['acknowledged']:,} rows "
        f"{outage['lost']:,} were lost and {outage['doubled']:,} doubled. {_where(outage)}\n"
    )
    yield from _table(
        ["memory of the application", "least", "most"],
        [
            [
                {"during": "during the outage", "after": "during the recovery"}.get(when, when),
                f"{memory[when]['least_mb']} MB",
                f"{memory[when]['most_mb']} MB",
            ]
            for when in ("before", "during", "after")
        ],
    )


def _peers(peers: dict[str, Any]) -> Iterator[str]:
    libraries = [library["name"] for library in peers["libraries"]]
    yield "## The same faults elsewhere\n"
    yield (
        "`make faults ARGS='--run peers'`. Other ways from `logging` to a server, with their "
        "defaults and set up as their documentation says: the OpenTelemetry SDK's batch processor "
        "with the OTLP/HTTP exporter, and python-logstash-async over TCP, with its queue in memory "
        "and with its SQLite database. Each sends to a loopback receiver of its own kind; after "
        "the fault the receiver is well, the application ends in order if it still lives, and is "
        "started once more with the same files. The cells say what became of the records whose "
        f"logger calls had returned. {_where(peers)}\n"
    )
    yield (
        "These libraries carry telemetry and promise less: a lost record is the smaller evil there "
        "than a logger call that waits for a disk. OpenTelemetry in particular leaves durability "
        "to a collector beside the application. The table says what an audit trail would meet.\n"
    )
    cells = {(entry["library"], entry["fault"]): entry for entry in peers["faults"]}
    faults = list(dict.fromkeys(entry["fault"] for entry in peers["faults"]))
    yield from _table(
        ["fault", *_with_versions(peers["libraries"])],
        [
            [fault, *(_cell(cells.get((library, fault))) for library in libraries)]
            for fault in faults
        ],
    )
    yield (
        "*silent*: nothing was said on stderr either. -: there is no such fault over TCP, where a "
        "receiver acknowledges nothing. Their number of records differs where the fault lasted "
        "until enough batches had met it.\n"
    )


def _with_versions(libraries: Iterable[dict[str, str]]) -> list[str]:
    return [
        " ".join([name, its["version"], *rest])
        for its in libraries
        for name, *rest in [its["name"].split(",")]
    ]


def _cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "-"
    acknowledged = f"{entry['acknowledged']:,}"
    wrong = [f"**{entry[what]:,} {what}**" for what in ("lost", "doubled") if entry[what]]
    if not wrong:
        return f"{acknowledged} stored once"
    silent = "" if entry["has_spoken"] else ", silent"
    return f"{', '.join(wrong)} of {acknowledged}{silent}"


def _where(run: dict[str, Any]) -> str:
    return f"Python {run['python']}, {run['system']}, {run['when'][:10]}."


def _table(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
    yield ""


INTRODUCTION = """\
# Reliability

What audit-handler promises is that a row whose logger call has returned is stored once, whatever
happens then. This page is what came of trying to break that. It is written by `make faults`, which
runs all of it on any machine with Python in a quarter of an hour; the figures are those of the last
run, and nothing was left out of them.

The faults are real: processes are killed with `kill -9`, sockets are reset, disks are full. The
server is ClickHouse's own engine (chDB) behind a loopback port that speaks ClickHouse's HTTP
interface and breaks on request, before, during and after an insert is executed. A row is
*acknowledged* when its logger call has returned. *Lost* is an acknowledged row that is neither
stored nor reported, *doubled* a row that is stored once too often.

Besides, `make test` stops the spool at every single step of its work on the disk, in every
scenario, and recovers from each; and compares it, under random actions, with a plain list.
"""

NOT_PROVEN = """\
## What is not proven here

- **A real server, a cluster.** The engine is ClickHouse's, the server around it is ours. Set
  `AUDIT_TEST_CLICKHOUSE_URL` to run the tests that need no faults against a server of yours.
  Replication, Keeper, Distributed tables and quorum inserts were not run.
- **A power loss.** What was not synced is thrown away by a simulated disk, not by pulling a plug;
  a disk that lies about its syncs defeats every program.
- **Network file systems.** The spool needs a local disk.
- **A disk that dies or returns wrong bytes**: it takes with it what ClickHouse had not
  acknowledged yet.
- **Other systems.** This ran on the one system that is named with the figures.
- **The peers under other settings.** Larger queues, longer timeouts, a collector on the same
  machine: each moves their figures.
"""


if __name__ == "__main__":
    sys.exit(main())
