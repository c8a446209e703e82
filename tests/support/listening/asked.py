"""What a listening server has in a process and in a container: an HTTP port of this machine."""

from __future__ import annotations

import json
import signal
import time
from abc import ABC, abstractmethod
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote

from tests.support.listening.config import ADMIN, User

__all__ = ["Asked", "ListeningError", "Queried"]

# A start takes 0.5 to 6 s; a loaded machine may need more. It ends before pytest-timeout.
START_TIMEOUT = 60.0
QUERY_TIMEOUT = 60.0
POLL_EVERY = 0.02
# chDB's listeners crash in about 1 of 100 starts while inserts arrive: of a process, in a shell.
SEGFAULTS = {-signal.SIGSEGV, 128 + signal.SIGSEGV}
MOST_CRASHES = 3


class ListeningError(Exception):
    """Raised when the server did not start, or refused a query."""


class Queried(ABC):
    """An engine that answers a statement with text."""

    def query(self, sql: str) -> list[dict[str, Any]]:
        """
        Return the rows of a SELECT as dicts; 64-bit integers are ints.

        Raises:
            Exception: The engine's error, of the kind that the class names.
        """
        return [json.loads(line) for line in self._ask(sql, "JSONEachRow").splitlines()]

    def command(self, sql: str) -> str:
        """
        Run a statement, and return its output, tab-separated, without the last newline.

        Raises:
            Exception: The engine's error, of the kind that the class names.
        """
        return self._ask(sql, "TabSeparated").removesuffix("\n")

    @abstractmethod
    def _ask(self, sql: str, output: str) -> str:
        """Return the answer in the format *output*, with 64-bit integers as numbers."""


class Asked(Queried):
    """
    A server that is asked by HTTP as *admin*. Any thread may use it.

    The errors of `query` and `command` are `ListeningError`.
    """

    port: int
    admin: User = ADMIN

    @property
    @abstractmethod
    def is_running(self) -> bool: ...

    @property
    @abstractmethod
    def exit_code(self) -> int | None:
        """How the server has ended, or None while it runs or if that is not known."""

    @abstractmethod
    def restart_without_waiting(self) -> None:
        """Start again on the same data and ports."""

    @abstractmethod
    def kill(self) -> None: ...

    @abstractmethod
    def said(self) -> str:
        """Return what the server wrote to stdout and stderr."""

    def dsn(self, database: str = "audit_db", *, user: User | None = None, port: int = 0) -> str:
        """Return the URL for the driver; *port* is that of a proxy in front of the server."""
        user = user or self.admin
        login = f"{user.name}:{quote(user.password, safe='')}"
        return f"http://{login}@127.0.0.1:{port or self.port}/{database}"

    def restart(self) -> None:
        """
        Start again on the same data and ports, and return when the server answers.

        Raises:
            ListeningError: It does not.
        """
        self.restart_without_waiting()
        self.wait_until_up()

    def wait_until_up(self) -> None:
        """
        Return when the server answers. A server that crashes is started again, as a supervisor
        would do.

        Raises:
            ListeningError: It does not answer, or has ended; the server is killed.
        """
        began = time.monotonic()
        crashes = 0
        while not self.answers_ping():
            waited = time.monotonic() - began
            is_running = self.is_running
            if not is_running and self.exit_code in SEGFAULTS and crashes < MOST_CRASHES:
                crashes += 1
                self.restart_without_waiting()
            elif not is_running or waited > START_TIMEOUT:
                said = self.said().strip() or "it said nothing"
                if is_running:
                    self.kill()
                end = "does not answer after" if is_running else "ended within"
                raise ListeningError(
                    f"{self!r} {end} {waited:.1f} s, exit code {self.exit_code}: {said}"
                )
            time.sleep(POLL_EVERY)

    def answers_ping(self) -> bool:
        """Return whether the server answers now."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=1.0)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().read() == b"Ok.\n"
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _ask(self, sql: str, output: str) -> str:
        settings = f"/?default_format={output}&output_format_json_quote_64bit_integers=0"
        headers = {"X-ClickHouse-User": self.admin.name, "X-ClickHouse-Key": self.admin.password}
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
