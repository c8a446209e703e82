"""The rejected rows of a target as its listener keeps them: up to a limit, and counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from audit_handler.errors import RejectedFull, SpoolError
from audit_handler.spool._files import Files, Found
from audit_handler.spool._rejected import Reason, RejectedRows, files_of, is_batch, size_of
from audit_handler.status import RejectedUsage

__all__ = ["Quarantine"]


class Quarantine:
    """
    Sets rejected rows aside while ``rejected/`` has space for them, and counts what is there.

    Belongs to the listener's thread. Other processes of the target use the same directory, so that
    together they may exceed the limit by one batch of each.

    Args:
        rows: The files.
        files: The file operations.
        max_bytes: The most bytes of all files in ``rejected/``; None for no limit.
        on_refused: Called with the error for rows that the limit refuses.
    """

    def __init__(
        self,
        rows: RejectedRows,
        files: Files,
        *,
        max_bytes: int | None,
        on_refused: Callable[[SpoolError], None],
    ) -> None:
        self._rows = rows
        self._files = files
        self._max_bytes = max_bytes
        self._on_refused = on_refused
        # The rows in each file. A file of another size or time is read again.
        self._counted: dict[str, tuple[Found, int]] = {}
        self._listed: float | None = None
        self.usage = RejectedUsage()
        """What was in ``rejected/`` at the last `refresh` or `write`."""

    def write(
        self, writer_id: str, first_seq: int, last_seq: int, rows: bytes, reasons: Sequence[Reason]
    ) -> Path | None:
        """
        Write a batch as `RejectedRows.write` does; return None if there is no space for all of it.

        The batches that are there stay: the oldest ones show what began.
        """
        if self._max_bytes is not None:
            # Only now, because it costs one call for each file.
            found = self._files.found(self._rows.directory)
            # A crash left files of the same batch, which this one replaces.
            replaced = files_of(self._rows.batch(writer_id, first_seq, last_seq))
            held = sum(file.size for name, file in found.items() if name not in replaced)
            if held + size_of(rows, reasons) > self._max_bytes:
                self._on_refused(self._full(held, len(reasons)))
                return None
        path = self._rows.write(writer_id, first_seq, last_seq, rows, reasons)
        self.refresh()
        return path

    def refresh(self) -> RejectedUsage:
        """Count what is in ``rejected/`` if that has changed; an error keeps the last usage."""
        with suppress(OSError):  # It may belong to another user; a write says so.
            directory = self._rows.directory
            try:
                # Each file is renamed to its name, which changes the directory.
                modified = self._files.modified(directory)
            except FileNotFoundError:
                modified = None  # There is none, or it is in memory.
            if modified is None or modified != self._listed:
                self._count(self._files.found(directory))
                self._listed = modified
        return self.usage

    def _count(self, found: dict[str, Found]) -> None:
        counted: dict[str, tuple[Found, int]] = {}
        for name, file in found.items():
            if is_batch(name):
                known = self._counted.get(name)
                if known is None or known[0] != file:
                    with suppress(FileNotFoundError):  # A replay has removed it.
                        content = self._rows.read(self._rows.directory / name)
                        counted[name] = (file, content.count(b"\n"))
                else:
                    counted[name] = known
        self._counted = counted
        self.usage = RejectedUsage(
            rows=sum(rows for _file, rows in counted.values()),
            bytes=sum(file.size for file in found.values()),
            since=min((file.modified for file, _rows in counted.values()), default=None),
        )

    def _full(self, held: int, rows: int) -> RejectedFull:
        return RejectedFull(
            f"{self._rows.directory} holds {held:,} of max_rejected_bytes={self._max_bytes:,}, so "
            f"{rows:,} rows that ClickHouse rejects are not kept; fix the reason and run "
            "audit-handler replay, or copy the files elsewhere (audit-handler spool export) and "
            "remove them, or raise max_rejected_bytes",
            rows=rows,
        )
