"""
One application of the endings: ``ending_application.py WAY PHASE DELAY BATCH FIRST``.

It audits numbers from FIRST on, waits for PHASE and then for DELAY seconds, and ends in its WAY. It
prints the number of each audit whose call has returned.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import logging.config
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from audit_handler import AuditHandler, install_signal_handlers

__all__ = ["PHASES", "WAYS"]

# The call that the listener is about to make.
PHASES: dict[str, tuple[str, str] | None] = {
    "at once": None,
    "loading": ("_connect", "load_driver"),
    "connecting": ("_connect", "connect_arguments"),
    "creating": ("_client", "statements"),
    "inserting": ("_client", "insert_file"),
    "looking up": ("_look_up", "ask"),
    "at any moment": None,
    "closing": None,
}
# In a trial with batches of one row, an insert for each of them takes about as long as the end may.
ROWS = {1: 20}
USUAL_ROWS = 400
# Numbers for those that audit beside the main thread.
BESIDE = 1_000
AT_MOST_BESIDE = 40
PATIENCE_SECONDS = 2.0

log = logging.getLogger("shop")


def audit(number: int) -> None:
    """Audit *number*, and print it when the call has returned."""
    log.info("n", extra={"action": "COUNT", "resource_type": "number", "resource_id": str(number)})
    os.write(1, b"%d\n" % number)


def main(way: str, phase: str, delay: float, batch: int, first: int) -> None:
    """Audit and end."""
    handler = AuditHandler(create_table=True, batch_size=batch, shutdown_timeout=1)
    log.addHandler(handler)
    log.setLevel("INFO")
    wait = noted(phase)
    end = WAYS[way](handler, first + BESIDE)
    for number in range(first, first + ROWS.get(batch, USUAL_ROWS)):
        audit(number)
    wait()
    if phase == "closing":
        threading.Thread(target=handler.close).start()
    if phase != "at once":
        time.sleep(delay)
    end()


def noted(phase: str) -> Callable[[], object]:
    """Return what waits until the listener is about to make the call of *phase*."""
    call = PHASES[phase]
    if call is None:
        return lambda: None
    module = importlib.import_module(f"audit_handler.clickhouse.{call[0]}")
    reached, real = threading.Event(), getattr(module, call[1])

    def reaching(*args: Any, **kwargs: Any) -> Any:
        reached.set()
        return real(*args, **kwargs)

    setattr(module, call[1], reaching)
    return lambda: reached.wait(PATIENCE_SECONDS)


def send(signum: int) -> None:
    """Send *signum* to this process, and give it time to end."""
    os.kill(os.getpid(), signum)
    while True:
        time.sleep(0.1)


def fail() -> None:
    """Raise what ends the application."""
    raise RuntimeError("the application fails")


# Each is prepared before the first audit, and returns what ends the application.

Way = Callable[[AuditHandler, int], Callable[[], object]]


def falls_off_the_end(_handler: AuditHandler, _beside: int) -> Callable[[], object]:
    return lambda: None


def sys_exit(_handler: AuditHandler, _beside: int) -> Callable[[], object]:
    return lambda: sys.exit(3)


def an_exception(_handler: AuditHandler, _beside: int) -> Callable[[], object]:
    return fail


def sigterm(_handler: AuditHandler, _beside: int) -> Callable[[], object]:
    return lambda: send(signal.SIGTERM)


def sigterm_with_our_handler(_handler: AuditHandler, _beside: int) -> Callable[[], object]:
    install_signal_handlers()
    return lambda: send(signal.SIGTERM)


def sigterm_that_exits(_handler: AuditHandler, _beside: int) -> Callable[[], object]:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    return lambda: send(signal.SIGTERM)


def ctrl_c(_handler: AuditHandler, _beside: int) -> Callable[[], object]:
    return lambda: send(signal.SIGINT)


def ctrl_c_while_it_ends(_handler: AuditHandler, _beside: int) -> Callable[[], object]:
    def soon() -> None:
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    # The exit hook that comes first: the handler registers its own later, with the client.
    return lambda: atexit.register(threading.Thread(target=soon, daemon=True).start)


def a_failing_exit_hook(_handler: AuditHandler, _beside: int) -> Callable[[], object]:
    atexit.register(fail)
    return lambda: atexit.register(fail)


def a_child(method: str) -> Way:
    def way(_handler: AuditHandler, beside: int) -> Callable[[], object]:
        context: Any = multiprocessing.get_context(method)
        child = context.Process(target=work, args=(beside,))

        def end() -> None:
            child.start()
            child.join()
            assert child.exitcode == 0, child.exitcode

        return end

    return way


def work(first: int) -> None:
    """Audit a few numbers in a child."""
    if not log.handlers:
        log.addHandler(AuditHandler(create_table=True, shutdown_timeout=1))
        log.setLevel("INFO")
    for number in range(first, first + 10):
        audit(number)


def threads_that_go_on(_handler: AuditHandler, beside: int) -> Callable[[], object]:
    def go_on(start: int) -> None:
        for number in range(start, start + AT_MOST_BESIDE):
            audit(number)
            time.sleep(0.001)

    def begin() -> None:
        for n in range(2):
            start = beside + n * AT_MOST_BESIDE
            threading.Thread(target=go_on, args=(start,), daemon=True).start()
        time.sleep(0.01)

    return begin


def dict_config(handler: AuditHandler, beside: int) -> Callable[[], object]:
    def configure() -> None:
        for number in range(beside, beside + 3):
            logging._addHandlerRef(handler)  # type: ignore[attr-defined]
            logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
            audit(number)

    return configure


def queries_of_its_own(_handler: AuditHandler, _beside: int) -> Callable[[], object]:
    def query() -> None:
        import chdb

        with suppress(RuntimeError):  # One process has one database open, and it may be another.
            chdb.query("SELECT sum(number) FROM numbers(1000000)")

    return query


WAYS: dict[str, Way] = {
    "falls off the end": falls_off_the_end,
    "sys.exit": sys_exit,
    "an exception": an_exception,
    "SIGTERM": sigterm,
    "SIGTERM, our handler": sigterm_with_our_handler,
    "SIGTERM, a handler that exits": sigterm_that_exits,
    "Ctrl-C": ctrl_c,
    "Ctrl-C while it ends": ctrl_c_while_it_ends,
    "a failing exit hook": a_failing_exit_hook,
    "a forked child": a_child("fork"),
    "a spawned child": a_child("spawn"),
    "threads that go on": threads_that_go_on,
    "dictConfig": dict_config,
    "queries of its own": queries_of_its_own,
}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
