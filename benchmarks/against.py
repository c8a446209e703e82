"""
Compare the cost of a logger call in two git revisions, in interleaved turns of one run.

A process of its own loads the ``src`` of each revision, and waits during the turn of the other.
Both run the benchmark of this tree.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
from contextlib import ExitStack, suppress
from functools import partial
from io import BytesIO
from pathlib import Path

from _measure import SPREAD_HEADERS, Spread, interleaved, print_table, scratch_directory

ROOT = Path(__file__).resolve().parents[1]


def work(calls: int) -> None:
    """Answer each kind of record on stdin with the microseconds of a call above NullHandler."""
    from logger_call import AUDIT, KINDS, NULL, without_delivery

    extras = {kind: [make(number) for number in range(calls)] for kind, make in KINDS.items()}
    with without_delivery() as contestants:
        for line in sys.stdin:
            null, audit = (
                contestants[name].turn(extras[line.rstrip("\n")], calls) for name in (NULL, AUDIT)
            )
            print(audit - null, flush=True)


def source_of(revision: str, directory: Path) -> Path:
    """Unpack the sources of *revision* into *directory*; return their path."""
    packed = subprocess.run(  # noqa: S603  # a revision of this repository
        ["git", "-C", str(ROOT), "archive", revision, "src", "sql"],  # noqa: S607
        check=True,
        capture_output=True,
    ).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as files:
        files.extractall(directory, filter="data")
    return directory / "src"


def ask(worker: subprocess.Popen[str], kind: str) -> float:
    if worker.stdin is None or worker.stdout is None:
        raise TypeError("the worker has no pipes")
    answer = ""
    with suppress(BrokenPipeError):
        print(kind, file=worker.stdin, flush=True)
        answer = worker.stdout.readline()
    if not answer:
        with suppress(BrokenPipeError):
            worker.stdin.close()
        sys.exit(
            f"the process of a revision ended at {kind!r}; the reason is above. An older revision "
            "may need packages that this tree does not need: install them into .tox/bench"
        )
    return float(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--against", default="HEAD", help="revision to compare this tree with")
    parser.add_argument(
        "--rounds", type=int, default=60, help="turns of each revision, for each kind"
    )
    parser.add_argument("--calls", type=int, default=500, help="calls in a turn")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.calls)
        return
    from logger_call import KINDS

    with scratch_directory() as directory, ExitStack() as stack:
        sources = {
            arguments.against: source_of(arguments.against, directory),
            "this tree": ROOT / "src",
        }
        command = [sys.executable, __file__, "--worker", "--calls", str(arguments.calls)]
        workers = {
            name: stack.enter_context(
                subprocess.Popen(  # noqa: S603  # this file
                    command,
                    env={**os.environ, "PYTHONPATH": str(source)},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for name, source in sources.items()
        }
        for kind in KINDS:
            turns = {name: partial(ask, worker, kind) for name, worker in workers.items()}
            before, after = interleaved(turns, arguments.rounds).values()
            # A ratio of medians: the difference of a single turn can be near zero.
            ratio = Spread.of(after).median / Spread.of(before).median
            table = [
                [arguments.against, *Spread.of(before).cells(2), ""],
                ["this tree", *Spread.of(after).cells(2), f"{ratio:.2f}"],
            ]
            print_table(
                f"{kind}: microseconds a call above NullHandler",
                ["", *SPREAD_HEADERS, "ratio"],
                table,
            )


if __name__ == "__main__":
    main()
