"""Replay: rows that ClickHouse once refused, offered again after what refused them was mended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from audit_handler.clickhouse import Destination
from audit_handler.errors import DataError, SpoolError
from audit_handler.spool import Files, rejected_directory

__all__ = ["Replayed", "replay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of the rejected rows of one target."""

    stored: int
    """Rows that ClickHouse took now."""
    known: int
    """Rows that it had already."""
    refused: int
    """Rows that it refused again; they stay where they are."""


def replay(files: Files, target_directory: Path, destination: Destination) -> Replayed:
    """
    Offer every row in ``rejected/`` again, each by itself, under the token that it had.

    May be interrupted and repeated: what is stored is looked up first, and a file goes when all of
    its rows are stored.

    Raises:
        SpoolError: Another replay of this target is running.
        TransientError, SetupError: ClickHouse cannot be asked; the rest stays where it is.
    """
    directory = rejected_directory(target_directory)
    names = [name for name in files.names(directory) if name.endswith(".ndjson")]
    stored = known = refused = 0
    if not names:
        return Replayed(stored=0, known=0, refused=0)
    lock = files.lock(directory / "lock")
    if lock is None:
        raise SpoolError(f"another replay is running in {directory}")
    try:
        for name in names:
            path = directory / name
            still_refused = False
            for line in files.read(path).splitlines(keepends=True):
                row = json.loads(line)
                writer_id, seq = row["writer_id"], row["seq"]
                if destination.stored(writer_id, seq, seq, line):
                    known += 1
                    continue
                try:
                    destination.insert(line, token=f"{writer_id}:{seq}-{seq}")
                except DataError:
                    refused += 1
                    still_refused = True
                else:
                    stored += 1
            if not still_refused:
                files.unlink(path)
                files.unlink(path.with_suffix(".error.json"))
    finally:
        lock.release()
    return Replayed(stored=stored, known=known, refused=refused)
