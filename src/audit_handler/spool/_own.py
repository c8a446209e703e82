"""What in a spool is ours: only that is opened. A link or a foreign file may have been planted."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from audit_handler._reports import Reporter

__all__ = [
    "ForeignError",
    "give_to_owner",
    "is_own_directory",
    "open_own",
    "report_foreign",
    "report_stranger",
    "report_unreadable",
    "stranger_of",
]

_logger = Reporter("audit_handler.spool")

# What `os.open` raises for a link, a directory and a socket.
_NO_FILE = {errno.ELOOP: "it is a link", errno.EISDIR: "it is a directory", errno.ENXIO: "a socket"}

# Foreign paths that were reported: each is met every few seconds, and reported once.
_reported: set[Path] = set()


class ForeignError(PermissionError):
    """A file or directory that this user did not create. It is not used, and left where it is."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(errno.EPERM, reason, str(path))


def open_own(path: Path, flags: int) -> tuple[int, os.stat_result]:
    """
    Open a regular file of ours that has no other name; return its handle and status.

    Root works for others: it takes the files of the owner of the directory too. A file that the
    group may write to is made private again, because Kubernetes opens a volume with an fsGroup to
    its group at each mount. A file that any user may write to is foreign: anyone may have
    changed it.

    Raises:
        ForeignError: It is a link, no regular file, or of another user.
        OSError: It cannot be opened.
    """
    try:
        # O_NONBLOCK: a FIFO must not make us wait for its other end.
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as exc:
        if exc.errno in _NO_FILE:
            raise ForeignError(path, _NO_FILE[exc.errno]) from exc
        raise
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ForeignError(path, "it is not a regular file")
        if not _is_ours(path, found.st_uid):
            raise ForeignError(path, f"it belongs to another user, uid {found.st_uid}")
        # None: it was removed while we opened it.
        if found.st_nlink > 1:
            raise ForeignError(path, "it has another name, a hard link")
        if found.st_mode & stat.S_IWOTH:
            raise ForeignError(path, "every user may write to it")
        if found.st_mode & stat.S_IWGRP:
            with suppress(PermissionError):
                os.fchmod(handle, 0o600)
    except BaseException:
        os.close(handle)
        raise
    return handle, found


def is_own_directory(path: Path) -> bool:
    """
    Return whether *path* is a directory of ours, and no link. Report it once if it is another's.
    """
    try:
        found = path.lstat()
    except OSError:
        return False
    if stat.S_ISLNK(found.st_mode):
        reason = "it is a link"
    elif not stat.S_ISDIR(found.st_mode):
        return False
    elif found.st_uid == 0 or _is_ours(path, found.st_uid):
        return True
    else:
        reason = f"it belongs to another user, uid {found.st_uid}"
    report_foreign(path, ForeignError(path, reason))
    return False


def give_to_owner(path: Path, made: int | Path) -> None:
    """
    As root, give what was *made* at *path*, a handle or a path, to the owner of the directory: the
    application, whose spool an operator works in, must be able to use it.
    """
    if os.geteuid() == 0:
        owner = path.parent.stat()
        # A container may run without CAP_CHOWN.
        if owner.st_uid != 0:
            with suppress(PermissionError):
                os.chown(made, owner.st_uid, owner.st_gid)


def stranger_of(directory: Path) -> int | None:
    """
    Return the uid of another user who owns *directory*, or the link to it; else None.

    What is in it stays private, but that user can rename or replace it. Root's are no strangers',
    and root works for others.
    """
    user = os.geteuid()
    try:
        owners = (directory.lstat().st_uid, directory.stat().st_uid)
    except OSError:
        return None
    return next((uid for uid in owners if user and uid not in (user, 0)), None)


def report_stranger(directory: Path) -> None:
    """Log once that another user owns *directory*."""
    uid = stranger_of(directory)
    if uid is not None:
        _warn_once(
            directory,
            f"belongs to another user, uid {uid}, who can move the rows in it away. The spool is "
            "used; give the directory to this user, or use another spool_dir",
        )


def report_foreign(path: Path, exc: ForeignError) -> None:
    """Log once that *path* is left alone."""
    _warn_once(
        path,
        f"in the spool is not used: {exc.strerror}. It is left where it is. Find out who put it "
        "there; if its rows are this application's, run as its owner, else remove it.",
    )


def report_unreadable(path: Path, exc: OSError) -> None:
    """Log once that *path* cannot be read."""
    _warn_once(
        path,
        f"in the spool cannot be read: {exc.strerror}. Rows in it stay there, and are not counted. "
        "Run as its owner, or give it to this user.",
    )


def _warn_once(path: Path, problem: str) -> None:
    if path not in _reported:
        _reported.add(path)
        _logger.warning("%s %s", path, problem)


def _is_ours(path: Path, uid: int) -> bool:
    user = os.geteuid()
    return uid == user or (user == 0 and uid == path.parent.stat().st_uid)
