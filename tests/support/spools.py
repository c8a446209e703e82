"""Fill and empty the spools of a test."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit_handler.spool import DiskFiles, Segment, Spool
from tests.support.doubles import SteppingClock

MONTH = "2026-11"


def make_spool(directory: Path, **options: Any) -> Spool:
    settings: dict[str, Any] = {
        "batch_size": 3,
        "batch_bytes": 64 * 1024,
        "flush_interval": 5.0,
        "max_bytes": 10**9,
        "fsync": "never",
        "clock": SteppingClock(),
    }
    settings.update(options)
    files = settings.pop("files", None) or DiskFiles()
    files.make_directory(directory)
    return Spool(files, directory, **settings)


def put_numbers(spool: Spool, first: int, last: int) -> None:
    for number in range(first, last + 1):
        spool.put(b'{"n":%d}' % number, MONTH)


def numbers(spool: Spool, segment: Segment) -> list[int]:
    return [json.loads(line)["n"] for line in spool.files.read(segment.path).splitlines()]


def take_all(spool: Spool) -> list[int]:
    """
    Acknowledge all waiting rows, with those of the open segment; return their numbers in order.
    """
    taken = []
    while segment := spool.get(10.0):
        taken += numbers(spool, segment)
        spool.task_done()
    return taken


def leave_behind(spool: Spool) -> None:
    """End the spool as ``kill -9`` would: files stay as they are, the lock is free."""
    assert spool._intake.writer is not None
    spool._intake.writer.directory.release()


def files_in(directory: Path) -> Iterator[Path]:
    """Yield the files of a spool that is at work: what goes away meanwhile is passed over."""
    for parent, _, names in os.walk(directory):
        yield from (Path(parent, name) for name in names)
