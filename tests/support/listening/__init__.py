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

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.support.listening.config import ADMIN, User, write_config

__all__ = ["NOT_HERE", "ListeningClickHouse", "ListeningError", "free_port"]

NOT_HERE = (
    "only a full server has replication, Keeper, ON CLUSTER and CREATE USER: this one is chDB's "
    "listener; name a full one in AUDIT_TEST_CLICKHOUSE_URL, or run Docker with its image"
)

SERVER = Path(__file__).with_name("server.py")
# A start takes 0.5 to 6 s; a loaded machine may need more. It ends before pytest-timeout.
START_TIMEOUT = 60.0
QUERY_TIMEOUT = 60.0
POLL_EVERY = 0.02
# Below the ports that Linux gives to outgoing connections (from 32768), so a server that restarts
# finds its port free.
PORTS = range(20_000, 32_000)


class ListeningError(Exception):
    """Raised when the server did not start, or refused a query."""


class ListeningClickHouse:
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
        return f"<ListeningClickHouse port={self.port} pid={self.pid}>"

    def dsn(self, database: str = "audit_db", *, user: User = ADMIN, port: int = 0) -> str:
        """Return the URL for the driver; *port* is that of a proxy in front of the server."""
        login = f"{user.name}:{quote(user.password, safe='')}"
        return f"http://{login}@127.0.0.1:{port or self.port}/{database}"

    # The process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """``kill -9`` the server, and wait until it is gone. Its data stays."""
        self._process.kill()
        self._process.wait()

    stop = kill
    """Whatever is acknowledged survives a kill, so there is no gentler end."""

    def pause(self) -> None:
        """Stop the process where it is: its connections stay open, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Start again on the same data and ports, and return when the server answers."""
        self.restart_without_waiting()
        self.wait_until_up()

    def restart_without_waiting(self) -> None:
        """Start again on the same data and ports; kill the server first if it still runs."""
        self.kill()
        self._launch()

    def wait_until_up(self) -> None:
        """Return when the server answers."""
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers_ping():
            if not self.is_running or time.monotonic() > deadline:
                self.kill()
                said = self._log.read_text(errors="replace")
                raise ListeningError(
                    f"the server in {self.directory} did not start within {START_TIMEOUT:.0f} s: "
                    f"{said.strip() or 'it said nothing'}"
                )
            time.sleep(POLL_EVERY)

    def _launch(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(SERVER), str(self.directory), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C must reach only the tests; they end the server
            )

    def _answers_ping(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=1.0)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().read() == b"Ok.\n"
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    # Queries

    def query(self, sql: str) -> list[dict[str, Any]]:
        """
        Return the rows of a SELECT as dicts; 64-bit integers are ints.

        Raises:
            ListeningError: The engine's error.
        """
        return [json.loads(line) for line in self._ask(sql, "JSONEachRow").splitlines()]

    def command(self, sql: str) -> str:
        """
        Run a statement, and return its output, tab-separated, without the last newline.

        Raises:
            ListeningError: The engine's error.
        """
        return self._ask(sql, "TabSeparated").removesuffix("\n")

    def _ask(self, sql: str, output: str) -> str:
        settings = f"/?default_format={output}&output_format_json_quote_64bit_integers=0"
        headers = {"X-ClickHouse-User": ADMIN.name, "X-ClickHouse-Key": ADMIN.password}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=QUERY_TIMEOUT)
        try:
            connection.request("POST", settings, sql.encode(), headers)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        finally:
            connection.close()
        if response.status != 200:
            raise ListeningError(text)
        return text


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
