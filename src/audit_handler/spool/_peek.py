"""Read the rows that wait, up to a number of bytes, without a lock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from audit_handler.spool._files import Files
from audit_handler.spool._segment import READY, SENDING, is_segment_name

__all__ = ["waiting_lines"]


def waiting_lines(
    files: Files, directories: Iterable[Path], max_bytes: int
) -> Iterator[bytes | None]:
    """
    Yield the rows in *directories* as encoded lines, the oldest of each first.

    Yield None at the end if *max_bytes* were read before the last segment. Takes no lock: rows that
    are delivered or written meanwhile may or may not be among them.
    """
    for directory in directories:
        for name in files.names(directory):
            path = directory / name
            if not is_segment_name(name):
                continue
            if max_bytes <= 0:
                yield None
                return
            content = b""
            # It may be renamed to its next name, or removed, at any moment.
            for suffix in (path.suffix, READY, SENDING):
                with suppress(FileNotFoundError):
                    content = files.read(path.with_suffix(suffix))
                    break
            max_bytes -= len(content)
            yield from content.splitlines()
