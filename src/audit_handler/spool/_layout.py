"""The names in a spool: which directories are writers', and which file is a writer's lock."""

from __future__ import annotations

import re
from pathlib import Path

from audit_handler.spool._files import Files

__all__ = ["LOCK_NAME", "is_writer_name", "readable_names"]

# The file in a writer's directory, or in ``rejected/``, whose lock says which process works there.
LOCK_NAME = "lock"

# As `new_writer_id` makes them. Anything else in a target's directory is not ours: leave it alone.
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
