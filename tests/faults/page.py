"""
Run everything in this directory at full length and write docs/RELIABILITY.md: ``make faults``.

Each run writes its figures to ``.figures/reliability/``, which git ignores. The page is made from
these figures alone, so ``--write`` can write it again without a run, and it is written only when
every run has figures and every test passed. With arguments for pytest, only those fault tests run,
and the page does not change.
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
    """Run the requested tests; return 1 if a run found a lost or duplicated row."""
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
    if failed:
        print(f"{PAGE} is left as it is: {', '.join(failed)} failed")
    elif missing := [name for name in RUNS if not (results.DIRECTORY / f"{name}.json").exists()]:
        print(f"{PAGE} is left as it is: no figures of {', '.join(missing)} yet; run make faults")
    else:
        PAGE.write_text("\n".join(page()) + "\n", encoding="utf-8")
        print(f"wrote {PAGE}")
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
        f"{totals['doubled']:,} duplicated**. {_where(suite)}\n"
    )
    yield (
        "Each test stages its fault, proves that it happened, recovers, compares the table by SQL "
        "with the acknowledged rows and with the numbers of each writer, and continues to write. "
        "*Reported* rows are those that the handler did not accept or ClickHouse rejected: they "
        "are counted, logged, and in `rejected/` or in a row that says how many were dropped. To "
        "run one test: `make faults ARGS='-k name'`, with its name from the last column.\n"
    )
    yield from _table(["fault", *map(_heading, COUNTS), "test"], _suite_rows(suite["faults"]))


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
        f"tables, one spool directory, one server. For {soak['chaos_seconds']:g} s the test "
        f"broke something every quarter of a second; applications were started "
        f"{soak['generations']} times, and {verdict['writers']:,} processes wrote. Then all faults "
        f"were ended, and the remaining rows were delivered in {soak['recovery_seconds']} s. "
        f"{_where(soak)}\n"
    )
    names = ("acknowledged", "stored", "lost", "doubled", "foreign")
    yield from _table(list(map(_heading, names)), [[f"{verdict[name]:,}" for name in names]])
    yield (
        "*Foreign* are rows of one table's applications in the other table, and rows that no "
        f"application logged. {verdict['unacknowledged']:,} more rows are stored, whose process "
        "was killed before the call returned. These faults were staged:\n"
    )
    yield from _table(["fault", "times"], [[name, f"{n:,}"] for name, n in soak["done"].items()])


def _outage(outage: dict[str, Any]) -> Iterator[str]:
    memory = outage["memory"]
    yield "## An outage\n"
    yield (
        f"`make faults ARGS='--run outage'`: the server is stopped while one application logs "
        f"{outage['rows']:,} rows, {outage['logged_per_second']:,} a second; "
        f"{outage['waiting_bytes'] / 1e6:,.0f} MB wait on disk. "
        f"When the server is back, they arrive in {outage['recovery_seconds']} s, "
        f"**{outage['recovered_per_second']:,} rows a second**. The same application logs and "
        f"delivers {outage['normal_per_second']:,} rows a second without an outage, and "
        f"{outage['normal_again_per_second']:,} after it. Of {outage['acknowledged']:,} rows "
        f"{outage['lost']:,} were lost and {outage['doubled']:,} were duplicated. "
        f"{_where(outage)}\n"
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
    yield "## The same faults with other libraries\n"
    yield (
        "`make faults ARGS='--run peers'`. Other ways from `logging` to a server, with their "
        "defaults and set up as in their documentation: the OpenTelemetry SDK's batch processor "
        "with the OTLP/HTTP exporter, and python-logstash-async over TCP, with its queue in memory "
        "and with its SQLite database. Each sends to its own kind of loopback receiver. After "
        "the fault the receiver works again; the application ends normally if it is still alive, "
        "and is started again with the same files. The cells show the outcome for the records "
        f"whose logger calls had returned. {_where(peers)}\n"
    )
    yield (
        "These libraries are for telemetry and promise less: for telemetry, a lost record is "
        "better than a logger call that waits for a disk. OpenTelemetry leaves durability to a "
        "collector on the same machine. The table shows what would happen to an audit trail.\n"
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
        "*silent*: there was no message on stderr either. -: there is no such fault over TCP, "
        "because the receiver acknowledges nothing. The number of records differs if the fault "
        "lasted until it had affected enough batches.\n"
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
    wrong = [f"**{entry[what]:,} {_heading(what)}**" for what in ("lost", "doubled") if entry[what]]
    if not wrong:
        return f"{acknowledged} stored once"
    silent = "" if entry["has_spoken"] else ", silent"
    return f"{', '.join(wrong)} of {acknowledged}{silent}"


def _heading(count: str) -> str:
    """Return the word that the page uses for *count*."""
    return "duplicated" if count == "doubled" else count


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

audit-handler promises that every row whose logger call has returned is stored exactly once. We
tried to break this promise, and this page has the results. `make faults` writes it. It runs all
tests on any machine with Python in half an hour; the figures are those of the last run, and
no result was left out.

The faults are real: processes are killed with `kill -9`, sockets are reset, disks are full. The
server is ClickHouse's own engine (chDB) behind a loopback port that speaks ClickHouse's HTTP
interface and fails on request, before, during and after the execution of an insert. Some rows of
the table are about real servers, ClickHouse's own HTTP and native listeners: one alone, and two as
the shards of a cluster behind a Distributed table, in processes, and in Docker where it runs. A row
is *acknowledged* when its logger call has returned. A *lost* row is acknowledged, but neither
stored nor reported. A *duplicated* row is stored more than once.

In addition, `make test` stops the spool at every single step of its work on the disk, in every
scenario, and recovers from each stop. It also compares the spool, under random actions, with a
plain list.
"""

NOT_PROVEN = """\
## What is not proven here

- **Replication, Keeper, quorum inserts.** The real servers are chDB's listeners, which have none of
  these. Set `AUDIT_TEST_CLICKHOUSE_URL` to run the tests that need no faults against your own
  server.
- **A network between shards that is slow or loses packets.** The shards were killed and paused; in
  Docker they were also cut off.
- **A power loss.** A simulated disk discards the data that was not synced; no real power was cut.
  No program can survive a disk that does not sync when it reports a sync.
- **Network file systems.** The spool needs a local disk.
- **A disk that fails or returns wrong bytes.** Rows that ClickHouse had not acknowledged are
  lost.
- **Other systems.** The tests ran only on the system that is named with the figures.
- **The other libraries with other settings.** Larger queues, longer timeouts or a collector on the
  same machine change their figures.
"""


if __name__ == "__main__":
    sys.exit(main())
