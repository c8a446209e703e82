"""Test doubles: a clock that never waits, and a ClickHouse that answers by script."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection
from pathlib import Path

from audit_handler.errors import DataError, DeliveryError


class SteppingClock:
    """
    A clock that stands still, and jumps to the end of each wait.

    For tests on one thread. A wait without an end is an error, because nothing would end it.
    *on_wait* is called after each wait.
    """

    def __init__(self) -> None:
        self.now = 1_000.0
        self.unix_offset = 1_790_000_000.0
        self.waits: list[float] = []
        self.on_wait: Callable[[], object] = lambda: None

    def time(self) -> float:
        return self.unix_offset + self.now

    def monotonic(self) -> float:
        return self.now

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:  # noqa: ARG002
        assert timeout is not None, "this wait would never end"
        self.waits.append(timeout)
        self.now += timeout
        self.on_wait()

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        self.on_wait()


class ScriptedDestination:
    """
    A table in memory. Before it accepts an insert, it runs the next step of its script.

    A step is None (accept the rows), an exception (raise it, accept nothing), or a pair of an
    exception and True (accept the rows, and raise it). After the last step, inserts are accepted.
    """

    def __init__(self, *script: DeliveryError | tuple[DeliveryError, bool] | None) -> None:
        self.script = list(script)
        self.refuse: Callable[[bytes], DeliveryError | None] = lambda _lines: None
        self.rows: dict[bytes, None] = {}
        self.tokens: list[str] = []
        self.paths: list[Path | None] = []
        self.without: list[frozenset[str]] = []
        self.alone: list[bool] = []
        self.dropped_tokens: set[str] = set()
        """Tokens that are known already: what comes under them is dropped."""
        self.remembers_tokens = False
        """Whether the tokens of stored rows are known."""
        self.look_ups: list[tuple[int, int]] = []
        self.can_look_up = True
        self.hidden: set[int] = set()
        """Numbers of the rows that a row policy hides."""
        self.limit: float = math.inf
        """Rows of the largest insert that a proxy on the way lets through."""
        self.is_closed = False

    reads_files = True

    def insert(
        self,
        lines: bytes,
        *,
        token: str,
        path: Path | None = None,
        without: Collection[str] = (),
        ignores_views: bool = False,  # noqa: ARG002  # the protocol's signature
        alone: bool = False,
        rows: int | None = None,
    ) -> None:
        assert path is None or path.read_bytes() == lines
        assert rows is None or rows == len(lines.splitlines())
        self.tokens.append(token)
        self.paths.append(path)
        self.without.append(frozenset(without))
        self.alone.append(alone)
        step = self.script.pop(0) if self.script else None
        if isinstance(step, DeliveryError):
            raise step
        if self.refuses_size(lines):
            raise DataError("HTTP status 413", is_ambiguous=True, is_too_large=True)
        if refusal := self.refuse(lines):
            raise refusal
        if token in self.dropped_tokens:
            return
        for line in lines.splitlines():
            assert line not in self.rows, f"stored twice: {line!r}"
            self.rows[line] = None
        if self.remembers_tokens:
            self.dropped_tokens.add(token)
        if step is not None:
            raise step[0]

    def stored(
        self, writer_id: str, first_seq: int, last_seq: int, lines: bytes
    ) -> set[int] | None:
        self.look_ups.append((first_seq, last_seq))
        if not self.can_look_up:
            return None
        wanted = {first_seq + index: line for index, line in enumerate(lines.splitlines())}
        assert all(writer_id.encode() in line for line in wanted.values())
        assert len(wanted) == last_seq - first_seq + 1
        return {seq for seq, line in wanted.items() if line in self.rows} - self.hidden

    def hides_rows(self) -> bool:
        return bool(self.hidden)

    def refuses_size(self, lines: bytes) -> bool:
        return len(lines.splitlines()) > self.limit

    def close(self) -> None:
        self.is_closed = True
