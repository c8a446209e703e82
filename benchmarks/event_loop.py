"""
How late an asyncio loop wakes up while its tasks log 4,000 events a second, 20,000 in total.

One task sleeps for a millisecond at a time, and records its delay; 20 others log a full record each
every 5 ms. The handlers take turns: `NullHandler`, the standard library's `QueueHandler` with a
listener that inserts into the same server, and `AuditHandler`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial

from _measure import (
    Spread,
    figure,
    full_extras,
    interleaved,
    parser,
    print_table,
    write_report,
)
from logger_call import AUDIT, BUSY, NULL, while_delivering

# 20 tasks, one event every 5 ms each: 4,000 events a second.
TASKS, PERIOD = 20, 0.005


async def run(logger: logging.Logger, audits: int) -> list[float]:
    """Log *audits* events from all tasks; return the delay of each tick in milliseconds."""
    late: list[float] = []
    is_over = asyncio.Event()
    extras = [full_extras(number) for number in range(1_000)]

    async def tick() -> None:
        while not is_over.is_set():
            due = time.perf_counter() + 0.001
            await asyncio.sleep(0.001)
            late.append((time.perf_counter() - due) * 1e3)

    async def log(first: int) -> None:
        due = time.perf_counter()
        for number in range(audits // TASKS):
            logger.info("order %s: %s", "paid", "by card", extra=extras[(first + number) % 1_000])
            due += PERIOD
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(log(50 * number) for number in range(TASKS)))
    is_over.set()
    await ticking
    return late


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--audits", type=int, default=20_000, help="events of one turn")
    options.add_argument("--rounds", type=int, default=3)
    arguments = options.parse_args()
    p50: dict[str, list[float]] = {}
    worst: dict[str, list[float]] = {}

    with while_delivering(2_000) as contestants:

        def turn(name: str) -> float:
            contestant = contestants[name]
            late = sorted(asyncio.run(run(contestant.logger, arguments.audits)))
            contestant.settle()
            p50.setdefault(name, []).append(late[len(late) // 2])
            worst.setdefault(name, []).append(late[-1])
            return late[int(len(late) * 0.99)]

        results = interleaved(
            {name: partial(turn, name) for name in (NULL, BUSY, AUDIT)}, arguments.rounds
        )
    rows = []
    for name, p99 in results.items():
        middle = [Spread.of(values[name]).median for values in (p50, worst)]
        spread = Spread.of(p99)
        rows.append(
            [name, f"{middle[0]:.2f}", *spread.cells(2), f"{middle[1]:.1f}"],
        )
    lag = {name: Spread.of(p99).median for name, p99 in results.items()}
    figure("loop lag / QueueHandler", lag[AUDIT] / lag[BUSY])
    print_table(
        f"Milliseconds late, {arguments.rounds} rounds of {arguments.audits:,} audits",
        ["", "p50", "p99", "p99 min", "p99 p25-p75", "max"],
        rows,
    )
    write_report(arguments.output)


if __name__ == "__main__":
    main()
