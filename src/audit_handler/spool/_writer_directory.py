"""The directory of this process's writer: created, locked while the process lives, removed."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path

from audit_handler._ids import new_writer_id
from audit_handler.errors import SpoolUnavailable
from audit_handler.spool._files import Files
from audit_handler.spool._layout import LOCK_NAME
from audit_handler.spool._locks import Lock
from audit_handler.spool._segment import is_segment_name

__all__ = ["WriterDirectory"]

# A process that looks for dead writers may win a race for a new directory; it looks once in five
# seconds, for a moment.
_CLAIM_TRIES = 20


class WriterDirectory:
    """
    A directory of our own, under a new writer id, with its lock.

    Args:
        files: The file operations.
        target_directory: The directory that it is created in.
        is_synced: Whether its name must survive a power loss.

    Raises:
        SpoolUnavailable: It cannot be created or locked.
    """

    def __init__(self, files: Files, target_directory: Path, *, is_synced: bool) -> None:
        self._files = files
        self._is_synced = is_synced
        self._are_names_synced = True
        # A process that looks for dead writers may find the new directory before we have locked
        # it, and lock or remove it: then another id is tried.
        for _ in range(_CLAIM_TRIES):
            self.writer_id = new_writer_id()
            self.path = target_directory / self.writer_id
            try:
                self._make()
                lock = self._locked()
            except FileNotFoundError:
                continue
            except OSError as exc:
                raise SpoolUnavailable(
                    f"spool_dir: {self.path} cannot be created ({exc.strerror}); "
                    "give a writable local directory as spool_dir or AUDIT_SPOOL_DIR"
                ) from exc
            if lock is not None:
                self._lock = lock
                return
        raise SpoolUnavailable(
            f"spool_dir: no directory in {target_directory} could be created and locked; "
            "give a directory on a local disk as spool_dir or AUDIT_SPOOL_DIR"
        )

    def _locked(self) -> Lock | None:
        """Lock it and sync its name; return None if another process has locked it."""
        lock = self._files.lock(self.path / LOCK_NAME)
        if lock is not None and self._is_synced:
            try:
                self._sync_names()
            except BaseException:
                self._remove()
                lock.release()
                raise
        return lock

    def sync(self) -> None:
        """
        Make the names in it survive a power loss, and its own name too.

        Raises:
            OSError: A sync failed; the next call tries all of them again.
        """
        if not self._are_names_synced:
            self._sync_names()
            self._are_names_synced = True
        self._files.sync_directory(self.path)

    def recreate(self) -> None:
        """
        Create it again after it was removed from outside.

        The rows that were in it are lost, and the listener reports them. Later rows are safe.

        Raises:
            OSError: A file operation failed, or another process locked it first.
        """
        self._make()
        lock = self._files.lock(self.path / LOCK_NAME)
        if lock is None:
            raise OSError(
                errno.EBUSY, "removed, and locked by another process when it was created again"
            )
        removed, self._lock = self._lock, lock
        removed.release()
        self._are_names_synced = False

    def _make(self) -> None:
        # Both levels: in a spool_dir of all users, another one may have planted the target's.
        self._files.make_directory(self.path.parent)
        self._files.make_directory(self.path)

    def has_segments(self) -> bool:
        """Return whether rows are in it, for any process to deliver; True if it is unreadable."""
        try:
            return any(map(is_segment_name, self._files.names(self.path)))
        except OSError:
            return True

    def remove_if_empty(self) -> None:
        """Remove it unless a file other than the lock is in it."""
        if self._files.names(self.path) in ([], [LOCK_NAME]):
            self._remove()

    def release(self) -> None:
        """Release its lock: other processes deliver the rows that are left."""
        self._lock.release()

    def _remove(self) -> None:
        # An empty directory costs nothing; the next process that starts here removes it.
        with suppress(OSError):
            if LOCK_NAME in self._files.names(self.path):
                self._files.unlink(self.path / LOCK_NAME)
            self._files.remove_directory(self.path)

    def _sync_names(self) -> None:
        self._files.sync_directory(self.path.parent)
        # A directory survives a power loss if its parent was synced, so all of them are.
        for parent in self.path.parent.parents:
            with suppress(OSError):  # It fails only where we did not create the directory.
                self._files.sync_directory(parent)
