"""
The environment of a command, completed by the .env file in the working directory.

The address and the credentials of a server come from one source. Otherwise a file that lies in some
directory could name a server that then gets the password of the environment.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from dotenv import dotenv_values

from audit_handler._options.server import is_service_link
from audit_handler.errors import ConfigurationError

__all__ = ["completed"]

_FILE = Path(".env")
_URL = "CLICKHOUSE_URL"
_CREDENTIALS = ("CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD", "CLICKHOUSE_PASSWORD_FILE")
_PORT = "CLICKHOUSE_PORT"
_SERVER = (_URL, _PORT, *_CREDENTIALS)


def completed(
    environ: Mapping[str, str], *, has_dsn: bool, say: Callable[[str], object]
) -> Mapping[str, str]:
    """
    Return *environ*, completed by the .env file.

    Args:
        environ: The environment. It wins over the file, except that a URL of the file is not used
            with credentials of the environment.
        has_dsn: Whether the command line names the server; the URL of neither source counts then.
        say: Called with a line about a file, or variables, that are not used.

    Raises:
        ConfigurationError: The file is not UTF-8 text.
    """
    file = _values(say)
    if not file.keys().isdisjoint(_SERVER) and is_service_link(environ.get(_PORT, "")):
        # Nothing that a person has set, or could remove.
        environ = {name: text for name, text in environ.items() if name != _PORT}
    names = _CREDENTIALS if has_dsn else _SERVER
    given = [name for name in names if environ.get(name, "").strip()]
    in_file = [name for name in names if name in file]
    if not given or not in_file:
        return {**file, **environ}
    if not has_dsn and _URL in in_file and _URL not in given:
        say(_unused(given, "the environment", in_file, str(_FILE)))
        return {**file, **{name: text for name, text in environ.items() if name not in given}}
    if left := [name for name in in_file if name not in given]:
        say(_unused(left, str(_FILE), given, "the environment"))
    return {**{name: text for name, text in file.items() if name not in in_file}, **environ}


def _unused(names: Collection[str], source: str, used: Collection[str], other: str) -> str:
    verb = "is" if len(names) == 1 else "are"
    comes = "comes" if len(used) == 1 else "come"
    return (
        f"{', '.join(names)} of {source} {verb} not used, because {', '.join(used)} {comes} from "
        f"{other}; give the address and the credentials of a server in one place"
    )


def _values(say: Callable[[str], object]) -> dict[str, str]:
    """Return the variables of the file that are not empty; none if others can write to it."""
    try:
        # Of a link, its owner chose the file.
        owners = {_FILE.lstat().st_uid}
        descriptor = os.open(_FILE, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return {}
    except OSError as exc:
        say(f"{_FILE.absolute()} is ignored: {exc.strerror}")
        return {}
    found = os.fstat(descriptor)
    # Before the file object, which takes no directory: Docker makes one of a missing file.
    if problem := _problem(descriptor, found, owners | {found.st_uid}):
        os.close(descriptor)
        say(f"{_FILE.absolute()} is ignored: {problem}")
        return {}
    with os.fdopen(descriptor, "rb") as stream:
        try:
            text = stream.read().decode("utf-8")
        except UnicodeDecodeError:
            # Without its cause, because that quotes the content.
            raise ConfigurationError(
                f"{_FILE.absolute()} is not UTF-8 text; save it as UTF-8"
            ) from None
    # As it is written: another variable of the environment may be a secret, and goes to the server
    # that the file names.
    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {name: value for name, value in values.items() if value}


def _problem(descriptor: int, found: os.stat_result, owners: Collection[int]) -> str:
    if not stat.S_ISREG(found.st_mode):
        return "it is a directory" if stat.S_ISDIR(found.st_mode) else "it is not a file"
    if not hasattr(os, "geteuid"):
        return ""
    if not {*owners} <= {os.geteuid(), 0}:
        return (
            "it belongs to another user, who could name a server that gets your events; copy it, "
            "or set the variables in the environment"
        )
    # With an access control list, the bits of the group are those of everyone that it names.
    is_of_group = found.st_mode & stat.S_IWGRP and (
        _has_access_list(descriptor) or not _is_private_group(found.st_gid, found.st_uid)
    )
    if is_of_group or found.st_mode & stat.S_IWOTH:
        return "other users may write to it; run: chmod go-w .env"
    return ""


def _has_access_list(descriptor: int) -> bool:
    # Only Linux shows them in the bits of the group; it alone has `listxattr`.
    try:
        return "system.posix_acl_access" in os.listxattr(descriptor)
    except (AttributeError, OSError):
        return False


def _is_private_group(gid: int, uid: int) -> bool:
    """
    Return whether the group *gid* is that of the user *uid* alone.

    Debian, Ubuntu, Fedora and RHEL give each user such a group, of the same name, and some set the
    umask 002 with it: then each file is writable to its group.
    """
    import grp  # these two are not there on every platform
    import pwd

    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    return (
        (user.pw_gid, user.pw_name) == (gid, group.gr_name)
        and {*group.gr_mem} <= {user.pw_name}
        # A directory service may not list its users; the equal names speak for those.
        and all(each.pw_uid == uid for each in pwd.getpwall() if each.pw_gid == gid)
    )
