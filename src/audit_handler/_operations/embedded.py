"""The directory of an embedded database."""

from __future__ import annotations

import stat
from pathlib import Path

from audit_handler.errors import SetupError
from audit_handler.target import Target

__all__ = ["is_open_to_others", "require_directory"]


def require_directory(target: Target, *, may_be_made: bool = False) -> None:
    """
    Check that the directory of *target* is a database of chDB, or may become one. Without this,
    chDB would create an empty database in any directory, and report that the table is missing.

    Do nothing if *target* is a server or in memory.

    Args:
        target: Where the rows go.
        may_be_made: Create the directory if it is missing; only this user can read it.

    Raises:
        SetupError: The directory is missing, cannot be created or read, or holds other files.
    """
    if not target.is_embedded or target.is_in_memory:
        return
    path = Path(target.path)
    try:
        if may_be_made:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not path.is_dir():
            raise SetupError(
                f"{path} is not a directory",
                remedy="check the path in the dsn, or create the database with: audit-handler init",
            )
        names = {each.name for each in path.iterdir()}
    except OSError as exc:
        raise SetupError(
            f"{path} cannot be {'created' if may_be_made else 'read'}: {exc.strerror or exc}",
            remedy="give the dsn a directory that this user may create and write to",
        ) from exc
    # An engine without a table creates only these two.
    if names - {"tmp", "status"} and "metadata" not in names:
        raise SetupError(
            f"{path} holds other files, and no database of chDB",
            remedy="give the dsn a directory that holds nothing else",
        )


def is_open_to_others(target: Target) -> bool:
    """Return whether other users can enter or read the directory of *target*, if it has one."""
    if not target.is_embedded or target.is_in_memory:
        return False
    return bool(Path(target.path).stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
