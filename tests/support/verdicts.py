"""
Verdicts compare acknowledged rows with stored ones; a report collects them.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.engines import Engine, completeness

__all__ = ["Verdict", "report", "verdict_on"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The rows of one test, as stored in the table."""

    acknowledged: int
    """Logger calls that returned."""
    stored: int
    """Different rows of those calls that are stored."""
    lost: int
    """Acknowledged rows that are neither stored nor reported."""
    doubled: int
    """Surplus copies of rows."""
    unacknowledged: int
    """Stored rows of calls that a kill interrupted before they returned."""
    reported: int
    """Rows that were counted and logged as rejected, dropped or removed."""


def verdict_on(
    engine: Engine, table: str, acknowledged: Iterable[int], reported: Iterable[int] = ()
) -> Verdict:
    """
    Compare *table* with the numbers of the calls that returned, and each writer's *seq* with 1, 2,
    3 ...

    A gap in the numbering counts as lost, and a repeat as doubled, even if all numbers are there.
    """
    numbers = engine.query(
        f"SELECT resource_id, count() AS n FROM {table} WHERE resource_type = 'number' "
        "GROUP BY resource_id"
    )
    stored = Counter({int(row["resource_id"]): int(row["n"]) for row in numbers})
    asked, missing = set(acknowledged), set(reported)
    writers = completeness(engine, table)
    gaps = sum(int(writer["gaps"]) for writer in writers)
    repeats = sum(int(writer["repeats"]) for writer in writers)
    return Verdict(
        acknowledged=len(asked),
        stored=len(asked & set(stored)),
        lost=max(len(asked - set(stored) - missing), gaps - len(missing)),
        doubled=max(stored.total() - len(stored), repeats),
        unacknowledged=len(set(stored) - asked),
        reported=len(missing - set(stored)),
    )


def report(
    row: str, fault: str, verdict: Verdict, *, trials: int = 1, seconds: float = 0.0
) -> None:
    """
    Append *verdict* to the file ``$AUDIT_FAULT_REPORT``, if it is set: see ``tests.faults.report``.

    Args:
        row: The row of the failure table.
        fault: The fault of this test.
        trials: Number of repetitions.
        seconds: Duration.
    """
    path = os.environ.get("AUDIT_FAULT_REPORT")
    if not path:
        return
    test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
    entry = {"row": row, "fault": fault, "trials": trials, **asdict(verdict)}
    line = json.dumps({**entry, "seconds": round(seconds, 1), "test": test}) + "\n"
    # One write of one line: several pytest workers append to the file.
    with Path(path).open("a", encoding="utf-8") as lines:
        lines.write(line)
