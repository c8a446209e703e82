"""
Becomes a ClickHouse server: ``python server.py DIRECTORY [PARENT]``.

*DIRECTORY* holds ``config.xml`` (see ``config.py``); the data goes into ``DIRECTORY/data``. The
server ends with the process *PARENT*.

chDB holds ClickHouse's own HTTP and native listeners. A session of chDB refuses to start them; its
stateless call does it, once a process. They listen for as long as the last statement of that call
sleeps. The call is private, so another release may refuse it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

# HTTP comes last: a server that answers a ping has both. Each number is one sleep of 3 s, the
# longest that the function allows: 95 years.
STATEMENTS = (
    "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; "
    "SELECT sum(sleepEachRow(3)) FROM numbers(1000000000) "
    "SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 3000000"
)
# With another format, the driver fails at its first query.
FORMAT = "TabSeparated"
# How often the server looks whether its parent is still there.
LOOK_EVERY = 0.2


def main(directory: str, parent: int | None = None) -> None:
    os.chdir(directory)  # the engine reads ./config.xml
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    release = "is not installed"
    try:
        import chdb

        release = chdb.__version__
        chdb._chdb.query(STATEMENTS, FORMAT, path=str(Path("data").absolute()))
    except Exception as error:
        sys.exit(f"chDB {release} does not start ClickHouse's listeners: {error!r}")
    sys.exit(f"chDB {release} has ended the query that keeps its listeners")


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if sys.argv[2:] else None)
