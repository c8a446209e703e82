"""The spool's file operations, as a protocol, and the files of a local disk."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from audit_handler.spool._held_write import HeldWrite
from audit_handler.spool._locks import Lock, take_lock
from audit_handler.spool._own import (
    ForeignError,
    give_to_owner,
    is_own_directory,
    open_own,
    report_stranger,
)

__all__ = ["DiskFiles", "Files", "Found", "write_whole"]


class Found(NamedTuple):
    """A file in a directory."""

    size: int
    """Bytes."""
    modified: float
    """Unix seconds of the last write."""


class Files(Protocol):
    """
    The file operations of the spool. Handles are small integers; paths are absolute.

    Every method raises OSError as the operating system's call of that name does.
    """

    is_durable: bool
    """Whether the files outlive the process."""

    held_write: HeldWrite | None
    """Appends rows in place of `write`, if there is one."""

    def make_directory(self, path: Path) -> None:
        """
        Create a directory that only the user can read, with its parents. Make an existing one of
        the user private.

        Raises:
            OSError: It cannot be created, belongs to another user, or is a link: its content may
                have been planted.
        """

    def names(self, path: Path) -> list[str]:
        """Return the sorted names in a directory; none when it does not exist."""

    def found(self, path: Path) -> dict[str, Found]:
        """Return the files in a directory by name; none when it does not exist."""

    def remove_directory(self, path: Path) -> None:
        """Remove an empty directory."""

    def sync_directory(self, path: Path) -> None:
        """Make creations, renames and removals in the directory survive a power loss."""

    def create(self, path: Path) -> int:
        """Create a file that only the user can read; return a handle to read and append."""

    def write(self, handle: int, data: bytes) -> int:
        """Append *data*, or the first part of it; return how many bytes were written."""

    def size(self, handle: int) -> int:
        """Return the size of an open file in bytes."""

    def truncate(self, handle: int, size: int) -> None:
        """Shorten an open file."""

    def duplicate(self, handle: int) -> int:
        """Return another handle of the same open file."""

    def sync(self, handle: int) -> None:
        """Make the content of an open file survive a power loss."""

    def close(self, handle: int) -> None:
        """Close a handle."""

    def read(self, path: Path, *, is_synced: bool = False) -> bytes:
        """
        Return a file's content; with *is_synced* only once it is on the disk.

        Raises:
            ForeignError: It is a link, no regular file, or of another user. `cut`, `modified` and
                `lock` raise this too.
        """

    def cut(self, path: Path, size: int) -> None:
        """Shorten a file that is not open."""

    def modified(self, path: Path) -> float:
        """Return the Unix seconds of the last write to a file; on disk, of a directory too."""

    def is_own(self, path: Path) -> bool:
        """Return whether *path* is a directory of the user, and no link. Report a foreign one."""

    def rename(self, old: Path, new: Path) -> None:
        """Rename a file in one step, replacing a file that has the new name."""

    def unlink(self, path: Path) -> None:
        """Remove a file."""

    def lock(self, path: Path) -> Lock | None:
        """
        Take the lock file at *path*, creating it, or return None when another owner holds it.

        Raises:
            FileNotFoundError: The directory does not exist (any more).
        """


_HAS_EFFECTIVE_IDS = os.access in os.supports_effective_ids


def write_whole(files: Files, path: Path, content: bytes, *, is_synced: bool) -> Path:
    """Write *content* to *path*, all or nothing. Replace the file of an interrupted attempt."""
    temporary = path.with_name(f".{path.name}.tmp")
    with suppress(FileNotFoundError):
        files.unlink(temporary)
    handle = files.create(temporary)
    try:
        written = 0
        while written < len(content):
            written += files.write(handle, content[written:])
        if is_synced:
            files.sync(handle)
    finally:
        files.close(handle)
    files.rename(temporary, path)
    if is_synced:
        files.sync_directory(path.parent)
    return path


class DiskFiles:
    """
    Files on a local disk. Do not use NFS: its locks and renames promise less.

    Args:
        held_write: For the rows of files in one directory.
    """

    is_durable = True

    # O_NOFOLLOW: a link may lead to any file of the user.
    _APPEND = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW

    # No method, which would cost a Python frame: the hot path calls it for each row.
    write = staticmethod(os.write)

    def __init__(self, held_write: HeldWrite | None = None) -> None:
        self.held_write = held_write

    def make_directory(self, path: Path) -> None:
        for parent in (*reversed(path.parents), path):
            if not parent.exists():
                with suppress(FileExistsError):  # Another process was faster.
                    parent.mkdir(mode=0o700)
                    give_to_owner(parent, parent)
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            raise ForeignError(path, "it is a link, which the spool does not follow")
        user = os.geteuid()
        owners = (user, 0) if user else (0, path.parent.stat().st_uid)
        if found.st_uid not in owners:
            raise ForeignError(
                path,
                f"it belongs to another user, uid {found.st_uid}; "
                "run as that user, or use another spool_dir",
            )
        # Made by a run as root: its mode is 0700, unlike that of a volume with an fsGroup.
        if found.st_uid != user and not os.access(
            path, os.R_OK | os.W_OK | os.X_OK, effective_ids=_HAS_EFFECTIVE_IDS
        ):
            raise ForeignError(
                path,
                f"it belongs to another user, uid {found.st_uid}, and this user may not use it; "
                "give it to this user with chown -R, or use another spool_dir",
            )
        report_stranger(path.parent)
        # Kubernetes opens a volume with an fsGroup to its group at each mount.
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and found.st_uid == user:
            path.chmod(0o700)

    def names(self, path: Path) -> list[str]:
        try:
            return sorted(entry.name for entry in path.iterdir())
        except FileNotFoundError:
            return []

    def found(self, path: Path) -> dict[str, Found]:
        found: dict[str, Found] = {}
        with suppress(FileNotFoundError), os.scandir(path) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # Another process has removed it.
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        found[entry.name] = Found(status.st_size, status.st_mtime)
        return found

    def remove_directory(self, path: Path) -> None:
        path.rmdir()

    def sync_directory(self, path: Path) -> None:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def create(self, path: Path) -> int:
        handle = os.open(path, self._APPEND, 0o600)
        try:
            give_to_owner(path, handle)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def size(self, handle: int) -> int:
        return os.fstat(handle).st_size

    def truncate(self, handle: int, size: int) -> None:
        os.ftruncate(handle, size)

    def duplicate(self, handle: int) -> int:
        return os.dup(handle)

    def sync(self, handle: int) -> None:
        os.fsync(handle)

    def close(self, handle: int) -> None:
        os.close(handle)

    def read(self, path: Path, *, is_synced: bool = False) -> bytes:
        # One descriptor and few calls: while an application thread logs at full speed, each call
        # of the listener may wait 5 ms for the interpreter lock. Path.read_bytes makes nine.
        handle, found = open_own(path, os.O_RDWR)
        try:
            if is_synced:
                os.fsync(handle)
            content = os.read(handle, found.st_size)
            while more := os.read(handle, 1024 * 1024):
                content += more
            return content
        finally:
            os.close(handle)

    def cut(self, path: Path, size: int) -> None:
        handle, _ = open_own(path, os.O_WRONLY)
        try:
            os.ftruncate(handle, size)
        finally:
            os.close(handle)

    def modified(self, path: Path) -> float:
        try:
            handle, found = open_own(path, os.O_RDONLY)
        except ForeignError:
            if not path.is_dir() or not is_own_directory(path):
                raise
            return path.stat().st_mtime
        os.close(handle)
        return found.st_mtime

    def is_own(self, path: Path) -> bool:
        return is_own_directory(path)

    def rename(self, old: Path, new: Path) -> None:
        old.replace(new)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def lock(self, path: Path) -> Lock | None:
        return take_lock(path)
