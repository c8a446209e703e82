"""
The findings of ``audit-handler check``, and its step about the spool: can it be used, and are rows
of ended processes in it?
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from audit_handler.config import Settings
from audit_handler.spool import Files, rejected, stranger_of, waiting

__all__ = ["FAILED", "OK", "SKIPPED", "WARNING", "Finding", "check_spool"]

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result of one step."""

    step: str
    state: str
    """``ok``, ``warning`` (it works, with a risk), ``failed``, or ``skipped`` after a failure."""
    detail: str
    remedy: str = ""
    """What to do; empty if there is nothing to do."""


def check_spool(settings: Settings, files: Files) -> Iterator[Finding]:
    """Yield findings: can the spool be used, and are rows of ended processes in it?"""
    directory = settings.spool_dir
    if directory is None:
        yield Finding(
            step="spool",
            state=WARNING,
            detail="in memory: a crash loses the rows that wait",
            remedy="set spool_dir or AUDIT_SPOOL_DIR to a local directory",
        )
        return
    try:
        yield _try_spool(settings, files, directory)
        uid = stranger_of(directory)
        if uid is not None:
            yield Finding(
                step="spool",
                state=WARNING,
                detail=f"{directory} belongs to another user, uid {uid}, who can move the rows in "
                "it away",
                remedy="give the directory to the application's user, or use another spool_dir",
            )
        yield from _left_in_spool(settings, files, directory)
    except OSError as exc:
        yield Finding(
            step="spool",
            state=FAILED,
            detail=f"{_named(settings, directory, exc)}: {exc.strerror or exc}",
            remedy="give spool_dir a local directory (no NFS) that the application's user may "
            "write to, and run this check as that user",
        )


def _named(settings: Settings, directory: Path, exc: OSError) -> Path:
    """Return the directory of the target if *exc* is about it, else that of the spool."""
    own = directory / settings.target.directory_name
    return own if exc.filename == str(own) else directory


def _try_spool(settings: Settings, files: Files, directory: Path) -> Finding:
    own = directory / settings.target.directory_name
    if os.path.lexists(own):
        # It may belong to root, after a run as root.
        files.make_directory(own)
    # If the directory is missing, the handler will create it: try the nearest parent that exists.
    there = next(path for path in (directory, *directory.parents) if path.exists())
    trial = there / f".check-{os.getpid()}"
    try:
        files.make_directory(trial)
        handle = files.create(trial / "trial")
        try:
            files.write(handle, b"{}\n")
            files.sync(handle)
        finally:
            files.close(handle)
        lock = files.lock(trial / "lock")
        if lock is None:
            raise OSError(0, "file locks do not work on this file system")
        lock.release()
    finally:
        with suppress(OSError):
            for name in files.names(trial):
                files.unlink(trial / name)
            files.remove_directory(trial)
    free = shutil.disk_usage(there).free
    is_new = "" if there == directory else " does not exist yet, the handler creates it"
    detail = f"{directory}{is_new}: written, synced, locked; {free // 1024**2:,} MiB free"
    if free < settings.max_spool_bytes:
        return Finding(
            step="spool",
            state=WARNING,
            detail=detail,
            remedy=f"max_spool_bytes lets {settings.max_spool_bytes // 1024**2:,} MiB "
            "wait: free disk space, or lower AUDIT_MAX_SPOOL_BYTES",
        )
    return Finding(step="spool", state=OK, detail=detail)


def _left_in_spool(settings: Settings, files: Files, directory: Path) -> Iterator[Finding]:
    own = settings.target.directory_name
    dead = [each for each in waiting(files, directory) if not each.is_alive]
    for is_own, remedy in (
        (True, "the application's next start delivers them"),
        (
            False,
            "start the application with the dsn, database and table that they wait for, or "
            "send them to this table: audit-handler spool, then audit-handler spool move",
        ),
    ):
        rows = sum(each.rows for each in dead if (each.target == own) is is_own)
        if rows:
            yield Finding(
                step="spool",
                state=WARNING,
                detail=f"{rows:,} rows of processes that have ended wait"
                f"{'' if is_own else ' for other targets'}",
                remedy=remedy,
            )
    batches = list(rejected(files, directory))
    refused = sum(each.rows for each in batches)
    kept = sum(each.bytes for each in batches if each.target == own)
    if refused:
        yield Finding(
            step="spool",
            state=WARNING,
            detail=f"ClickHouse rejected {refused:,} rows; those of this target take {kept:,} of "
            f"max_rejected_bytes={settings.max_rejected_bytes:,}",
            remedy="see the reasons with: audit-handler spool; fix them, then run: "
            "audit-handler replay",
        )
