"""
A ClickHouse server for tests, in a process of its own; ``tests.support.loopback.server`` describes
its features.

Only the standard library is imported here: chDB must never be imported in a process that forks.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import quote

from tests.support.listening.asked import Queried

__all__ = ["LoggedRequest", "LoopbackClickHouse", "LoopbackError"]

SERVER = Path(__file__).with_name("server.py")
# A start takes 0.4 to 1.5 s. A minute is enough for a loaded machine, and ends before
# pytest-timeout.
START_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0
CONTROL_TIMEOUT = 60.0


class LoopbackError(Exception):
    """
    Raised when the server did not start, or a request to the control port failed.
    """


class LoggedRequest(TypedDict):
    """
    One request to the ClickHouse port.

    ``statement`` is cut at 300 characters and without the data; ``kind`` is its first keyword.
    ``settings`` are those from the URL. ``body_bytes`` were received, as compressed by the client.
    ``status`` is None if no answer was sent, ``fault`` is None if no fault applied. ``executed``
    says that the engine ran the statement without an error. ``phase`` is ``received`` or
    ``finished``.
    """

    n: int
    statement: str
    kind: str
    database: str
    settings: dict[str, str]
    user: str
    content_encoding: str
    body_bytes: int
    fault: str | None
    status: int | None
    executed: bool
    phase: str


class LoopbackClickHouse(Queried):
    """
    The handle of one running server. Any thread may use it.

    `query` and `command` go to the engine, without faults, users and the log; its errors are
    `LoopbackError`.

    Use it as a context manager or call `stop`; the process also ends by itself with the process
    that started it.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        user: str | None = None,
        password: str | None = None,
        config: Path | None = None,
    ) -> None:
        self.path = Path(path)
        self.config = config
        self.user = user
        self.password = password
        self.port = 0
        self._denied: tuple[str, ...] = ()
        self._launch()

    @classmethod
    def start(
        cls,
        path: Path | str,
        *,
        user: str | None = None,
        password: str | None = None,
        config: Path | None = None,
    ) -> LoopbackClickHouse:
        """
        Start a server on the database in the directory *path*, and return when it listens.

        Args:
            path: Created if missing. One server at a time may use it, until `kill` or `stop`
                returns.
            user: The only user; with None, no login is needed.
            config: A configuration file of ClickHouse, for clusters, disks and a keeper.

        Raises:
            LoopbackError: The server did not start; the text holds its stderr.
        """
        return cls(path, user=user, password=password, config=config)

    def __enter__(self) -> LoopbackClickHouse:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<LoopbackClickHouse port={self.port} pid={self.pid} path={str(self.path)!r}>"

    def dsn(self, database: str = "audit_db", *, password: str | None = None) -> str:
        """
        Return the URL for the driver, with the server's own password or *password*.
        """
        password = self.password if password is None else password
        login = (
            f"{quote(self.user, safe='')}:{quote(password or '', safe='')}@" if self.user else ""
        )
        return f"http://{login}127.0.0.1:{self.port}/{database}"

    # The process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """
        ``kill -9`` the server and wait until it is gone.
        """
        self._process.kill()
        self._wait_for_exit()

    def stop(self) -> None:
        """
        End the server; running requests get no answer. Does nothing if it has already ended.
        """
        if self.is_running:
            assert self._process.stdin is not None
            try:
                # An explicit line, because a forked child of the test process may hold the pipe
                # open, and then there is no EOF.
                self._process.stdin.write(b"\n")
                self._process.stdin.close()
                self._process.wait(STOP_TIMEOUT)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                self._process.kill()
        self._wait_for_exit()

    def restart(self) -> None:
        """
        Start again on the same directory and port, after `kill`. If the server still runs, stop it
        first.

        The password and the denied patterns stay; faults and the request log are cleared.
        """
        self.stop()
        self._launch()

    def _launch(self) -> None:
        command = [sys.executable, str(SERVER), "--path", str(self.path), "--port", str(self.port)]
        if self.config is not None:
            command += ["--config", str(self.config)]
        if self.user is not None:
            command += ["--user", self.user, "--password", self.password or ""]
        with tempfile.TemporaryFile() as stderr:
            self._process = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C must reach only the tests; they end the server
            )
            try:
                announced = json.loads(self._read_announcement())
            except ValueError:
                self.kill()
                stderr.seek(0)
                said = stderr.read().decode(errors="replace")
                raise LoopbackError(
                    f"the server on {self.path} did not start within {START_TIMEOUT:.0f} s:\n{said}"
                ) from None
        self.port = announced["port"]
        self._control_port = announced["control_port"]
        self._control("deny", patterns=self._denied)

    def _read_announcement(self) -> bytes:
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], START_TIMEOUT)
        return self._process.stdout.readline() if readable else b""

    def _wait_for_exit(self) -> None:
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    # Faults, users and grants

    def fault(self, kind: str, **options: Any) -> None:
        """
        Arm a fault for later statements. Faults are checked in the order in which they were armed;
        at most one applies to a statement.

        Kinds:
            reset_before: RST before the statement's data is read; nothing runs.
            reset_during: RST after half of the body (of a chunked body: after its first chunk);
                nothing runs.
            close_before: Orderly close without an answer after the whole request; nothing runs.
            execute_then_reset: The statement runs, then RST without an answer.
            execute_then_hang: The statement runs; the answer waits for `release` or `clear_faults`.
            hang: Nothing runs until `release` or `clear_faults`. Then the connection closes without
                an answer, or with *execute* the statement runs late, even if its client has given
                up.
            http_status: The page of a proxy with *status*, and no ClickHouse header; *text* and
                *headers* (a dict) may be given.
            error: The ClickHouse error with *code* (and *name*, *text*; *status* replaces
                ClickHouse's own).

        Args:
            match: Regular expression for the statement without its data; case is ignored. By
                default any INSERT.
            times: Number of statements that get the fault; -1 for all until cleared. 1 by default.
            skip: Number of matching statements that pass first. 0 by default.
            execute: For hang, http_status and error: run the statement anyway.
        """
        self._control("fault", kind=kind, **options)

    def clear_faults(self) -> None:
        """
        Disarm all faults, and release the hanging requests.
        """
        self._control("clear_faults")

    def release(self) -> None:
        """
        Release the requests that hang now; armed faults stay.
        """
        self._control("release")

    @contextmanager
    def faulted(self, kind: str, **options: Any) -> Iterator[None]:
        """
        Arm a fault inside a ``with`` block; call `clear_faults` after it.
        """
        self.fault(kind, **options)
        try:
            yield
        finally:
            self.clear_faults()

    def set_password(self, password: str) -> None:
        """
        Change the user's password at once, also for open connections.
        """
        if self.user is None:
            raise ValueError("this server has no user; start it with user= and password=")
        self._control("users", users={self.user: password})
        self.password = password

    def deny(self, *patterns: str) -> None:
        """
        Answer statements that match one of *patterns*, and no others, with 497 ACCESS_DENIED.
        Without *patterns*, deny nothing.
        """
        self._control("deny", patterns=patterns)
        self._denied = patterns

    # The request log

    def requests(self, match: str = "") -> list[LoggedRequest]:
        """
        Return the requests since the start with a matching statement, oldest first. Every request
        that has got its answer is among them.
        """
        logged: list[LoggedRequest] = self._control("requests", match=match)
        return logged

    def forget_requests(self) -> None:
        """
        Empty the request log.
        """
        self._control("forget_requests")

    def wait_for_request(
        self,
        match: str = r"^\s*INSERT",
        count: int = 1,
        phase: str = "finished",
        timeout: float = 30.0,
    ) -> list[LoggedRequest]:
        """
        Wait until *count* matching requests have reached *phase*, and return all of those.

        Args:
            phase: ``received``: the server knows the statement. ``executed``: the engine has run
                it. ``finished``: the answer is being sent, or the connection closed.

        Raises:
            TimeoutError: *timeout* seconds have passed; the text lists the log.
        """
        fields = {"match": match, "at_least": count, "phase": phase, "timeout": timeout}
        found: list[LoggedRequest] | None = self._control(
            "wait", deadline=timeout + CONTROL_TIMEOUT, **fields
        )
        if found is None:
            seen = [
                (r["statement"][:60], r["phase"], r["status"], r["fault"]) for r in self.requests()
            ]
            raise TimeoutError(
                f"not {count} requests {phase} that match {match!r} within {timeout} s, but {seen}"
            )
        return found

    def _ask(self, sql: str, output: str) -> str:
        answer: str = self._control("query", sql=sql, default_format=output)
        return answer

    def _control(self, operation: str, deadline: float = CONTROL_TIMEOUT, **fields: Any) -> Any:
        # http.client, because urllib.request reads proxies from the environment.
        connection = HTTPConnection("127.0.0.1", self._control_port, timeout=deadline)
        try:
            connection.request("POST", f"/{operation}", json.dumps(fields), {"Connection": "close"})
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise LoopbackError(body.decode(errors="replace"))
        return json.loads(body)
