"""A table in memory that forgets tokens, refuses rows, and stores some of them late."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Collection, Iterable
from typing import NamedTuple

from audit_handler.errors import DataError, DeliveryError

__all__ = ["Row", "Table"]

Row = tuple[str, int]
"""*writer_id* and *seq*."""


class _Late(NamedTuple):
    """An insert that stores its rows later."""

    after: int
    """How many inserts later."""
    lines: bytes
    token: str
    is_standard: bool
    shares: Collection[int] | None


class Table:
    """
    A table of ClickHouse, as measured: a token that it remembers drops whatever comes under it, and
    one bad row refuses the insert. It has one share, or several that become visible one by one:
    partitions or shards. Each has tokens of its own.

    Args:
        window: Tokens remembered, of all shares together; 0 means that tokens are ignored.
        shares: How many; a row is in the one of its number, modulo.
        by_shard: Whether a bad row refuses only its share, which is a shard then.
        bad: Numbers of rows that it cannot take.
        bad_columns: Numbers of rows that it takes in the standard columns only.
        names_row: Whether it says which row is bad.
        can_look_up: Whether the writer may SELECT.
        limit: Rows of the largest insert that a proxy on the way lets through.
    """

    def __init__(
        self,
        *,
        window: int = 0,
        shares: int = 1,
        by_shard: bool = False,
        bad: Iterable[int] = (),
        bad_columns: Iterable[int] = (),
        names_row: bool = True,
        can_look_up: bool = True,
        limit: float = math.inf,
    ) -> None:
        self.bad = frozenset(bad)
        self.bad_columns = frozenset(bad_columns)
        self.names_row = names_row
        self.can_look_up = can_look_up
        self.limit = limit
        self.rows: dict[Row, list[int]] = {}
        """The numbers under each *(writer_id, seq)*: one, if nothing is doubled."""
        self.denials = 0
        """Look-ups that are refused before the writer may SELECT."""
        self._window = window
        self.shares = shares
        self.by_shard = by_shard
        self._tokens: deque[tuple[str, int]] = deque(maxlen=window)
        self._late: list[_Late] = []

    def insert(
        self,
        lines: bytes,
        token: str,
        *,
        is_standard: bool,
        shares: Collection[int] | None = None,
    ) -> DeliveryError | None:
        """Store rows, of *shares* only, or return the refusal."""
        self.let_late_ones_arrive()
        return self._insert(lines, token, is_standard, shares)

    def _insert(
        self, lines: bytes, token: str, is_standard: bool, shares: Collection[int] | None
    ) -> DeliveryError | None:
        refused = self.bad if is_standard else self.bad | self.bad_columns
        rows = [json.loads(line) for line in lines.splitlines()]
        error: DataError | None = None
        refusing: set[int] = set()
        for position, row in enumerate(rows, start=1):
            share = row["n"] % self.shares
            if row["n"] in refused and (token, share) not in self._tokens:
                refusing.add(share)
                place = position if self.names_row and not self.by_shard else None
                error = error or DataError(
                    "code 27", code=27, row=place, is_from_shard=self.by_shard
                )
                if not is_standard:
                    error.added = ("tenant",)
        if error is not None and not self.by_shard:
            return error
        wanted = set(range(self.shares) if shares is None else shares) - refusing
        for share in sorted(wanted):
            mine = [row for row in rows if row["n"] % self.shares == share]
            if not mine or (token, share) in self._tokens:
                continue
            for row in mine:
                self.rows.setdefault((row["writer_id"], row["seq"]), []).append(row["n"])
            self._tokens.append((token, share))
        return error

    def clone(self) -> Table:
        """Return a copy."""
        clone = Table(
            window=self._window,
            shares=self.shares,
            by_shard=self.by_shard,
            bad=self.bad,
            bad_columns=self.bad_columns,
            names_row=self.names_row,
            can_look_up=self.can_look_up,
            limit=self.limit,
        )
        clone.rows = {row: list(numbers) for row, numbers in self.rows.items()}
        clone._tokens.extend(self._tokens)
        clone.denials = self.denials
        clone._late = list(self._late)
        return clone

    def insert_late(
        self,
        lines: bytes,
        token: str,
        *,
        is_standard: bool = False,
        shares: Collection[int] | None = None,
        after: int = 1,
    ) -> None:
        """Store rows when the insert number *after* comes: the server is still at it."""
        self._late.append(_Late(after, lines, token, is_standard, shares))

    def let_late_ones_arrive(self) -> None:
        """Count one insert for those that are late."""
        late, self._late = self._late, []
        for each in late:
            if each.after > 1:
                self._late.append(each._replace(after=each.after - 1))
            else:
                self._insert(each.lines, each.token, each.is_standard, each.shares)

    def let_all_arrive(self) -> None:
        while self._late:
            self.let_late_ones_arrive()

    def is_seen(self) -> bool:
        """Return whether a look-up is allowed; count it if not."""
        if self.denials:
            self.denials -= 1
            return False
        return self.can_look_up

    def forget_tokens(self) -> None:
        self._tokens.clear()
