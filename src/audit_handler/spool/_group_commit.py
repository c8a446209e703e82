"""Group commit: callers that wait for their rows to be on the disk share one sync."""

from __future__ import annotations

import threading
from collections.abc import Callable

from audit_handler.errors import SpoolUnsynced
from audit_handler.spool._files import Files

__all__ = ["GroupCommit"]


class GroupCommit:
    """
    Syncs the open segment for whoever waits. Safe to call from several threads, and from a signal
    handler on top of itself.

    Args:
        files: The file operations.
        duplicate: Returns the number of the last row that was taken, and a duplicate of the open
            segment's handle, or None where there is none: a sealed segment has been synced. It is
            a duplicate because the segment may be sealed, and its handle closed, during the sync.
        start_afresh: Called when a sync failed: what comes next must go to another file.
    """

    def __init__(
        self,
        files: Files,
        duplicate: Callable[[], tuple[int, int | None]],
        start_afresh: Callable[[], None],
    ) -> None:
        self._files = files
        self._duplicate = duplicate
        self._start_afresh = start_afresh
        # Reentrant, for a signal handler that logs on top of a sync.
        self._lock = threading.RLock()
        self._synced_seq = 0
        self._unsynced = range(0)
        """Rows whose sync failed."""

    def wait_for(self, seq: int) -> None:
        """
        Return when row *seq* is on the disk; the first of several callers syncs for all.

        Raises:
            SpoolUnsynced: The disk refused; the row is written, and delivered, all the same.
        """
        with self._lock:
            if seq in self._unsynced:
                # The system may have thrown away what it could not write, and call the next sync of
                # that file a success.
                raise _refusal("an earlier sync failed")
            if self._synced_seq >= seq:
                return
            written = seq
            try:
                written, handle = self._duplicate()
                if handle is not None:
                    try:
                        self._files.sync(handle)
                    finally:
                        self._files.close(handle)
            except OSError as exc:
                self._unsynced = range(self._synced_seq + 1, max(written, seq) + 1)
                self._start_afresh()
                raise _refusal(exc.strerror) from exc
            self._synced_seq = max(self._synced_seq, written)


def _refusal(reason: str | None) -> SpoolUnsynced:
    return SpoolUnsynced(
        f"the spool cannot be synced ({reason}); the row is written, and survives the end of the "
        "process, but perhaps no power loss"
    )
