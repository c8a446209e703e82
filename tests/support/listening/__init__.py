"""
A real ClickHouse server, with ClickHouse's own HTTP and native listeners, in a process of its own.

`ListeningClickHouse` is one server, `TwoShards` are two with a Distributed table in front. chDB
holds the listeners (``server.py`` says how), so neither Docker nor a download is needed.

Such a server has no replication, no Keeper, no ``ON CLUSTER`` and no ``CREATE USER``: `NOT_HERE` is
the reason to skip a test of these. It injects no faults: put a fault proxy in front of it, kill it,
or pause it. For faults inside an answer, use ``tests.support.loopback``.

Only the standard library is imported here: chDB must never be imported in a process that forks.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.support.listening.asked import Asked, ListeningError
from tests.support.listening.config import User, write_config

__all__ = ["NOT_HERE", "ListeningClickHouse", "ListeningError", "free_port"]

NOT_HERE = (
    "only a full server has replication, Keeper, ON CLUSTER and CREATE USER: this one is chDB's "
    "listener; name a full one in AUDIT_TEST_CLICKHOUSE_URL, or run Docker with its image"
)

SERVER = Path(__file__).with_name("server.py")
# Below the ports that Linux gives to outgoing connections (from 32768), so a server that restarts
# finds its port free.
PORTS = range(20_000, 32_000)


class ListeningClickHouse(Asked):
    """
    The handle of one running server. Any thread may use it.

    Use it as a context manager or call `stop`. The process also ends with the one that started it.

    Args:
        directory: Configuration and data; created if missing.
        users: Users in addition to `ADMIN`.
        http_port: By default, a free one; it stays over restarts.
        tcp_port: The same for the native protocol.
        shards: Host and native port of each shard of the cluster ``two``; by default, this server
            is the only shard.
        shard: The number of this server's shard, from 1.

    Raises:
        ListeningError: The server did not start; the text holds its stderr.
    """

    def __init__(
        self,
        directory: Path,
        *,
        users: Iterable[User] = (),
        http_port: int = 0,
        tcp_port: int = 0,
        shards: Sequence[tuple[str, int]] = (),
        shard: int = 1,
    ) -> None:
        self.directory = directory
        self._log = directory / "said"
        self.port = http_port or free_port()
        self.tcp_port = tcp_port or free_port()
        write_config(
            directory,
            http_port=self.port,
            tcp_port=self.tcp_port,
            users=users,
            shards=shards,
            shard=shard,
        )
        self._launch()
        self.wait_until_up()

    def __enter__(self) -> ListeningClickHouse:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<ListeningClickHouse port={self.port} pid={self.pid} in {self.directory}>"

    # The process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def kill(self) -> None:
        """``kill -9`` the server, and wait until it is gone. Its data stays."""
        self._process.kill()
        self._process.wait()

    stop = kill
    """Whatever is acknowledged survives a kill, so there is no gentler end."""

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def pause(self) -> None:
        """Stop the process where it is: its connections stay open, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)
        # Until each of its threads has stopped, one of them may still answer.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a paused process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def restart_without_waiting(self) -> None:
        """Start again on the same data and ports; kill the server first if it still runs."""
        self.kill()
        self._launch()

    def _launch(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(SERVER), str(self.directory), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C must reach only the tests; they end the server
            )


def free_port() -> int:
    """Return a port of this machine on which nothing listens."""
    for port in random.SystemRandom().sample(PORTS, k=100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ListeningError(f"no free port in {PORTS}")
