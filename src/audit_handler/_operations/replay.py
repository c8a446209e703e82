"""Replay: send rejected rows again, after the cause was fixed."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from audit_handler.clickhouse import Destination
from audit_handler.errors import DataError, ViewError
from audit_handler.spool import Files, Reason, RejectedRows

__all__ = ["Replayed", "replay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The outcome for the rejected rows of one target."""

    stored: int
    """Rows that ClickHouse has stored now."""
    known: int
    """Rows that were stored before."""
    refused: int
    """Rows that were rejected again; they stay in ``rejected/``, with the new reason."""


def replay(files: Files, target_directory: Path, destination: Destination) -> Replayed:
    """
    Send every row in ``rejected/`` again, one by one, each with the token that it had.

    May be interrupted and repeated: a row is looked up first if that is possible, and a stored row
    is removed from its file in any case.

    Raises:
        SpoolError: Another replay of this target is running.
        TransientError, SetupError: ClickHouse does not answer, or rejects this user; the rest stays
            where it is.
    """
    rejected = RejectedRows(files, target_directory)
    batches = rejected.batches()
    counts = {"stored": 0, "known": 0, "refused": 0}
    if not batches:
        return Replayed(**counts)
    with rejected.locked():
        for path in batches:
            # Empty: a foreign file, which is left where it is.
            if lines := rejected.read(path).splitlines(keepends=True):
                _Batch(rejected, path, lines).offer(destination, counts)
    return Replayed(**counts)


class _Batch:
    """One file of ``rejected/``, with the file of reasons beside it."""

    def __init__(self, rejected: RejectedRows, path: Path, lines: list[bytes]) -> None:
        self._rejected = rejected
        self._path = path
        self._lines = lines

    def offer(self, destination: Destination, counts: dict[str, int]) -> None:
        """Offer each row; those that are rejected again stay, with their new reasons."""
        lines = self._lines
        refused: list[bytes] = []
        reasons: list[Reason] = []
        done = 0
        try:
            for line in lines:
                try:
                    outcome = self._offered(destination, line)
                except DataError as exc:
                    outcome = "refused"
                    refused.append(line)
                    reasons.append(Reason.of(_number(line)[1], exc))
                counts[outcome] += 1
                done += 1
        finally:
            # Also when ClickHouse fails in the middle: without SELECT privileges the next replay
            # cannot look up stored rows, and would store again each row that stays here.
            left = refused + lines[done:]
            if left and done == len(lines):
                self._rejected.rewrite_reasons(self._path, reasons)
            if left and left != lines:
                self._rejected.rewrite_rows(self._path, b"".join(left))
        if not left:
            self._rejected.remove(self._path)

    def _offered(self, destination: Destination, line: bytes) -> str:
        """
        Return ``stored`` or ``known``.

        Raises:
            DataError: ClickHouse rejects the row, or the line holds none.
        """
        writer_id, seq = _number(line)
        if seq is None:
            raise DataError("the line holds no row: it was damaged, or edited")
        if destination.stored(writer_id, seq, seq, line):
            return "known"
        part = self._rejected.part(line) if destination.reads_files else nullcontext()
        with part as path:
            token = f"{writer_id}:{seq}-{seq}"
            try:
                destination.insert(line, token=token, path=path, alone=True)
            except ViewError as exc:
                # The table has stored the row before its views got it: all servers of one row are
                # one server. But the row itself may name a view that no one has.
                found = destination.stored(writer_id, seq, seq, line)
                if not found and (found is not None or exc.may_be_forged):
                    destination.insert(line, token=token, path=path, ignores_views=True, alone=True)
        return "stored"


def _number(line: bytes) -> tuple[str, int | None]:
    """Return writer and *seq* of a row; the *seq* is None if the line holds no row."""
    try:
        row = json.loads(line)
        return str(row["writer_id"]), int(row["seq"])
    except (ValueError, TypeError, LookupError):
        return "", None
