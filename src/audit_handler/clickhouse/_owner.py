"""
Which process has an embedded database open.

Asked before the engine is: the engine of a second process fails, and writes a line of its own to
stderr at each attempt. Processes that start together open the database one after the other, so that
each finds the one before.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from audit_handler._clock import SystemClock
from audit_handler.errors import SetupError

__all__ = ["check_owner", "opening"]

# The engine's: it locks this file for as long as it is open, and writes its process id into it.
_STATUS_FILE = "status"
_PID = re.compile(rb"^PID: (\d+)$", re.MULTILINE)

# Opening a database of 5,000,000 rows takes 0.3 seconds, and 5 on a very busy machine.
_TURN_SECONDS = 20.0
_TURN_CHECK_SECONDS = 0.02


@contextmanager
def opening(path: str) -> Iterator[None]:
    """
    Check that no other process has the database directory *path* open, and let no other process
    that asks here open it inside the ``with``.

    Raises:
        SetupError: Another process has it open, or has been opening it for 20 seconds.
    """
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # The database is in memory, or the engine says what is wrong.
        yield
        return
    try:
        _wait_for_turn(directory, path)
        check_owner(path)
        yield
    finally:
        _unlock(directory)


def _wait_for_turn(directory: int, path: str) -> None:
    clock, waiting = SystemClock(), threading.Event()
    deadline = clock.monotonic() + _TURN_SECONDS
    while True:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.monotonic() < deadline:
                waiting.wait(_TURN_CHECK_SECONDS)
                continue
            raise SetupError(
                f"another process has been opening the chDB database {path} for "
                f"{_TURN_SECONDS:g} seconds",
                remedy="see whether it hangs, with: fuser -v " + path,
            ) from None
        except OSError:  # A file system without locks.
            pass
        return


def _unlock(handle: int) -> None:
    # Unlock before the close: a child that was just forked has the file open too.
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_UN)
    os.close(handle)


def check_owner(path: str) -> None:
    """
    Check that no other process has the database directory *path* open.

    The engine itself decides: if it cannot be asked here, *path* passes.

    Raises:
        SetupError: Another process has it open.
    """
    try:
        status = os.open(Path(path, _STATUS_FILE), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # The database is not created yet, or it is in memory.
        return
    try:
        fcntl.flock(status, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        found = _PID.search(os.read(status, 1000))
        owner = int(found[1]) if found else None
        # This process may open it many times: the application has sessions of its own.
        if owner != os.getpid():
            raise SetupError(
                f"another process (pid {owner or 'unknown'}) has the chDB database {path} open",
                remedy="end that process, or use a ClickHouse server for several processes",
            ) from None
    except OSError:
        return
    finally:
        _unlock(status)
