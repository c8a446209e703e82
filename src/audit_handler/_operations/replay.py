"""Replay: send rejected rows again, after the cause was fixed."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit_handler._clock import SystemClock
from audit_handler.clickhouse import Destination
from audit_handler.errors import DataError, SpoolError
from audit_handler.spool import Files, Spool, rejected_directory

__all__ = ["Replayed", "replay", "spool_of"]

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The outcome for the rejected rows of one target."""

    stored: int
    """Rows that ClickHouse has stored now."""
    known: int
    """Rows that were stored before."""
    refused: int
    """Rows that were rejected again; they stay in ``rejected/``, with the new reason."""


def spool_of(files: Files, target_directory: Path) -> Spool:
    """
    Return a spool for the files in *target_directory*. No row is put into it, so its limits have no
    effect.
    """
    return Spool(
        files,
        target_directory,
        batch_size=1,
        batch_bytes=8 * _MIB,
        flush_interval=0.0,
        max_bytes=8 * _MIB,
        fsync="batch",
        clock=SystemClock(),
    )


def replay(files: Files, target_directory: Path, destination: Destination) -> Replayed:
    """
    Send every row in ``rejected/`` again, one by one, each under the token that it had.

    May be interrupted and repeated: where the look-up is possible it comes first, and a stored row
    is removed from its file in any case.

    Raises:
        SpoolError: Another replay of this target is running.
        TransientError, SetupError: ClickHouse does not answer, or not to this user; the rest stays
            where it is.
    """
    directory = rejected_directory(target_directory)
    names = [name for name in files.names(directory) if name.endswith(".ndjson")]
    counts = {"stored": 0, "known": 0, "refused": 0}
    if not names:
        return Replayed(**counts)
    lock = files.lock(directory / "lock")
    if lock is None:
        raise SpoolError(f"another replay is running in {directory}")
    try:
        spool = spool_of(files, target_directory)
        for name in names:
            _Batch(spool, directory / name).offer(destination, counts)
    finally:
        lock.release()
    return Replayed(**counts)


class _Batch:
    """One file of ``rejected/``, with the file of reasons beside it."""

    def __init__(self, spool: Spool, path: Path) -> None:
        self._spool = spool
        self._path = path

    def offer(self, destination: Destination, counts: dict[str, int]) -> None:
        """Send each row; those that are rejected again stay, with their new reasons."""
        lines = self._spool.files.read(self._path).splitlines(keepends=True)
        refused: list[bytes] = []
        reasons: list[dict[str, Any]] = []
        done = 0
        try:
            for line in lines:
                try:
                    outcome = self._offered(destination, line)
                except DataError as exc:
                    outcome = "refused"
                    refused.append(line)
                    reason = str(exc.__cause__ or exc)
                    reasons.append({"seq": _number(line)[1], "code": exc.code, "reason": reason})
                counts[outcome] += 1
                done += 1
        finally:
            # Also when ClickHouse goes away in the middle: without the look-up, a stored row that
            # stayed here would be stored again.
            left = refused + lines[done:]
            if left and done == len(lines):
                self._spool.set_aside(
                    self._reasons.name, json.dumps({"rows": reasons}, indent=1).encode()
                )
            if left and left != lines:
                self._spool.set_aside(self._path.name, b"".join(left))
        if not left:
            self._spool.files.unlink(self._path)
            with suppress(FileNotFoundError):  # An operator may have deleted it.
                self._spool.files.unlink(self._reasons)

    @property
    def _reasons(self) -> Path:
        return self._path.with_suffix(".error.json")

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
        # chDB reads a file in place; its driver's own insert leaves copies behind.
        path = self._spool.set_aside("replay.part", line)
        try:
            destination.insert(line, token=f"{writer_id}:{seq}-{seq}", path=path)
        finally:
            self._spool.files.unlink(path)
        return "stored"


def _number(line: bytes) -> tuple[str, int | None]:
    """Return writer and *seq* of a row; the *seq* is None where the line holds no row."""
    try:
        row = json.loads(line)
        return str(row["writer_id"]), int(row["seq"])
    except (ValueError, TypeError, LookupError):
        return "", None
