"""
Which process has an embedded database open.

Asked before the engine is: the engine of a second process fails, and writes a line of its own to
stderr at each attempt.
"""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

from audit_handler.errors import SetupError

__all__ = ["check_owner"]

# The engine's: it locks this file for as long as it is open, and writes its process id into it.
_STATUS_FILE = "status"
_PID = re.compile(rb"^PID: (\d+)$", re.MULTILINE)


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
        os.close(status)
