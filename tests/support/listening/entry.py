"""
Starts the server in its image, with what the official image takes: the user of
``CLICKHOUSE_USER`` and ``CLICKHOUSE_PASSWORD``, and further configuration in ``config.d``.

A ``config.xml`` that is already there is used as it is.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

from tests.support.listening.config import ADMIN, write_config
from tests.support.listening.image import DIRECTORY, HTTP_PORT, TCP_PORT
from tests.support.listening.server import main


def end_when_told() -> None:
    """End at once at SIGTERM. What is acknowledged survives it; process 1 would ignore it."""
    signal.sigwait({signal.SIGTERM})
    os._exit(0)


if __name__ == "__main__":
    # In every thread that comes, so that the one that waits for it gets it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=end_when_told, daemon=True).start()
    if not Path(DIRECTORY, "config.xml").exists():
        admin = replace(
            ADMIN,
            name=os.environ.get("CLICKHOUSE_USER", ADMIN.name),
            password=os.environ.get("CLICKHOUSE_PASSWORD", ADMIN.password),
        )
        write_config(
            Path(DIRECTORY),
            http_port=HTTP_PORT,
            tcp_port=TCP_PORT,
            listen="0.0.0.0",
            admin=admin,
        )
    main(DIRECTORY)
