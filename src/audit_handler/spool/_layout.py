"""The names in a spool: the directories of writers, and their lock files."""

from __future__ import annotations

import re
from pathlib import Path

from audit_handler.spool._files import Files

__all__ = ["LOCK_NAME", "is_writer_name", "readable_names"]

# The lock file in a writer's directory or in ``rejected/``; the process that works there holds it.
LOCK_NAME = "lock"

# The form of `new_writer_id`. Any other name in a target's directory is not ours: leave it alone.
_WRITER = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_writer_name(name: str) -> bool:
    """Return whether a name in a target's directory is that of a writer."""
    return _WRITER.fullmatch(name) is not None


def readable_names(files: Files, directory: Path) -> list[str]:
    """Return the sorted names in *directory*; none when it is no directory or unreadable."""
    try:
        return files.names(directory)
    except OSError:
        return []
