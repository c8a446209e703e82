"""
Shared parts of the benchmarks: records, interleaved rounds, medians, tables, a loopback server.

Machines are noisy, and their speed changes over minutes. Contestants therefore take many short
turns alternately, and are compared within a round. Only the standard library is imported here: chDB
must never be loaded in a process that forks afterwards.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import logging
import os
import platform
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.listening import ListeningClickHouse
    from tests.support.loopback import LoopbackClickHouse

__all__ = [
    "SPREAD_HEADERS",
    "Spread",
    "clean_extras",
    "close_undelivered",
    "closed_port",
    "few_extras",
    "figure",
    "full_extras",
    "interleaved",
    "listening",
    "logger_with",
    "loopback",
    "other_extras",
    "parser",
    "print_note",
    "print_table",
    "scratch_directory",
    "wait_until",
    "write_report",
]

# Records


def full_extras(number: int) -> dict[str, Any]:
    """Return a full event: 20 extras, which include nested bodies and headers with secrets."""
    order, agent = f"o-{number:08d}", f"u-{number * 7919 % 5000}"
    change = {
        "id": order,
        "status": "paid",
        "total": {"amount": 1999 + number % 1000, "currency": "EUR"},
        "lines": [{"sku": f"sku-{number % 97}", "count": 2}, {"sku": "sku-77", "count": 1}],
    }
    return {
        "agent_id": agent,
        "agent_name": "Ada Lovelace",
        "agent_role": "accountant",
        "agent_email": f"{agent}@example.org",
        "action": "UPDATE",
        "resource_type": "order",
        "resource_id": order,
        "resource_name": f"Order {number}",
        "ip_address": f"10.1.{number // 250 % 250}.{number % 250}",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "session_id": f"s-{number * 31 % 9973:016x}",
        "request_id": f"r-{number:024x}",
        "endpoint": f"/api/v1/orders/{order}/pay",
        "http_method": "POST",
        "status_code": 200,
        "response_time_ms": 17 + number % 50,
        "request_body": {
            "order": order,
            "card": {"holder": "Ada Lovelace", "token": f"tok_{number:012d}", "country": "GB"},
            "addresses": [{"city": "London", "zip": "W1"}, {"city": "Ockham", "zip": "GU23"}],
        },
        "request_headers": {
            "Content-Type": "application/json",
            "Authorization": "Bearer abc.def.ghi",
            "X-Request-ID": f"r-{number:024x}",
            "Accept": "application/json",
        },
        "old_value": {**change, "status": "open"},
        "new_value": change,
    }


def clean_extras(number: int) -> dict[str, Any]:
    """Return a full event without any key or value that looks like a secret."""
    extras = full_extras(number)
    extras["request_body"]["card"] = {"holder": "Ada Lovelace", "country": "GB"}
    del extras["request_headers"]["Authorization"]
    return extras


def few_extras(number: int) -> dict[str, Any]:
    """Return a small event: 4 extras, all of them short text."""
    return {
        "action": "LOGIN",
        "agent_id": f"u-{number * 7919 % 5000}",
        "resource_type": "session",
        "resource_id": f"s-{number:08d}",
    }


def other_extras(number: int) -> dict[str, Any]:
    """Return the extras of a record that is not an audit event: the same 4, without an action."""
    extras = few_extras(number)
    extras["event"] = extras.pop("action")
    return extras


def logger_with(handler: logging.Handler) -> logging.Logger:
    """Return a logger with *handler* alone, which does not propagate."""
    logger = logging.getLogger(f"shop.orders-{next(_numbers)}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    return logger


_numbers = itertools.count(1)


# Rounds


def interleaved(
    contestants: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """
    Call every contestant once in each round; return the results by contestant, in order of rounds.

    Each round has its own order, which is the same in every run, so no contestant always follows
    the same neighbour. Garbage is collected before a turn, and as usual during it.
    """
    names = list(contestants)
    results: dict[str, list[float]] = {name: [] for name in names}
    shuffle = random.Random(6).shuffle  # noqa: S311  # the order of turns is not a secret
    for _ in range(rounds):
        shuffle(names)
        for name in names:
            gc.collect()
            results[name].append(contestants[name]())
    return results


@dataclass(frozen=True)
class Spread:
    """Median, minimum and quartiles of several measurements."""

    median: float
    low: float
    p25: float
    p75: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        if len(values) == 1:
            return cls(values[0], values[0], values[0], values[0])
        p25, median, p75 = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, min(values), p25, p75)

    def cells(self, digits: int) -> list[str]:
        """Return the cells "median", "min" and "p25-p75" of a table."""
        return [
            f"{self.median:,.{digits}f}",
            f"{self.low:,.{digits}f}",
            f"{self.p25:,.{digits}f}-{self.p75:,.{digits}f}",
        ]


SPREAD_HEADERS = ["median", "min", "p25-p75"]


# Reports

# The output of this benchmark, for docs/PERFORMANCE.md.
_report: dict[str, Any] = {"content": [], "figures": {}}


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark."""
    made = argparse.ArgumentParser(description=(doc or "").strip().splitlines()[0])
    made.add_argument("--output", type=Path, help="also write the output to this file, as JSON")
    return made


def figure(name: str, value: float) -> None:
    """Keep *value* under *name*, for the table of aims."""
    _report["figures"][name] = value


def write_report(path: Path | None) -> None:
    """Write the output to *path*, unless it is None."""
    if path is not None:
        _report["python"] = sys.version.split()[0]
        _report["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_report, indent=1) + "\n", encoding="utf-8")


def print_note(text: str) -> None:
    """Print a paragraph between tables."""
    _report["content"].append(text)
    print(f"\n{text}")


def print_table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print *rows* under *headers*; align the first column left, and the others right."""
    _report["content"].append(
        {"title": title, "headers": list(headers), "rows": list(map(list, rows))}
    )
    lines = [list(headers), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    print(f"\n{title}")
    for number, line in enumerate(lines):
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  " + "  ".join(cells).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))


# Surroundings


def closed_port() -> int:
    """Return a port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(is_done: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait until another thread has done *what*."""
    deadline = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > deadline:
            sys.exit(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.005)


def close_undelivered(handler: logging.Handler) -> None:
    """
    Close an `AuditHandler` that cannot reach its server, and wait for the end of its listener.

    The listener seals the open segment when it ends, which may be after ``close()`` returned.
    """
    handler.close(0.0)  # type: ignore[call-arg]  # AuditHandler.close takes a timeout
    for thread in threading.enumerate():
        if thread.name == "audit-handler-listener":
            thread.join(10.0)


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """Yield a temporary directory; TMPDIR selects its disk."""
    with tempfile.TemporaryDirectory(prefix="audit-handler-bench-") as name:
        yield Path(name)


@contextmanager
def loopback() -> Iterator[LoopbackClickHouse]:
    """Run the ClickHouse server of the tests: chDB behind HTTP, in a process of its own."""
    _see_tests()
    from tests.support.loopback import LoopbackClickHouse

    with scratch_directory() as directory, LoopbackClickHouse.start(directory) as server:
        yield server


@contextmanager
def listening(directory: Path) -> Iterator[ListeningClickHouse]:
    """Run ClickHouse's own HTTP server, which chDB holds, in a process of its own."""
    _see_tests()
    from tests.support.listening import ListeningClickHouse

    with ListeningClickHouse(directory / "clickhouse") as server:
        yield server


def _see_tests() -> None:
    root = str(Path(__file__).resolve().parents[1])
    if root not in sys.path:
        sys.path.insert(0, root)  # a benchmark that is run by its path sees only its own folder
