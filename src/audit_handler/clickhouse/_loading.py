"""Load driver and engine: in the thread that uses them, and never during a fork."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from audit_handler._process.imports import imported
from audit_handler.clickhouse._errors import quieten_driver
from audit_handler.clickhouse._shown import shown
from audit_handler.errors import SetupError

__all__ = ["load_driver", "zstd"]

# The driver itself loads these later, in the middle of a request, where a fork does the same harm.
_LATE_MODULES = (
    "clickhouse_connect.driver.httpclient",
    "encodings.idna",
    "zoneinfo",
    "urllib3.exceptions",
)
_ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"

_engine_was_inherited = False
# The first failure: the engine cannot be imported twice, and the second one hides the cause.
_engine_fault: SetupError | None = None


def load_driver(*, is_embedded: bool) -> ModuleType:
    """
    Import clickhouse-connect, for an embedded target chDB too, and return clickhouse-connect.

    Raises:
        SetupError: chDB is not installed, cannot be loaded, or cannot work in this process.
    """
    if is_embedded and _engine_was_inherited:
        raise SetupError(
            "chDB was loaded before this process was forked, and would hang here; the rows stay in "
            "the spool for the parent",
            remedy="use a ClickHouse server for several processes, or fork before the first event",
        )
    driver = imported("clickhouse_connect")
    for name in (*_LATE_MODULES, _ZSTD):
        imported(name)
    if is_embedded:
        _load_engine()
    quieten_driver()
    return driver


def _load_engine() -> None:
    global _engine_fault  # it belongs to the process
    if _engine_fault is not None:
        raise SetupError(_engine_fault.problem, remedy=_engine_fault.remedy)
    try:
        imported("chdb")
    except ImportError as exc:
        fault = _import_fault(exc)
        if not isinstance(_innermost(exc), ModuleNotFoundError):
            _engine_fault = fault
        raise fault from exc


def _import_fault(exc: ImportError) -> SetupError:
    cause = _innermost(exc)
    if isinstance(cause, ModuleNotFoundError):
        return SetupError(
            "chdb:// needs chDB", remedy="install it with: pip install 'audit-handler[embedded]'"
        )
    zone = os.environ.get("TZ", "")
    # It knows no zones with leap seconds, such as right/Europe/Berlin, which are files too.
    if zone and (not _is_zone(zone) or "load time zone" in str(cause)):
        return SetupError(
            f"chDB cannot load the time zone of the environment, TZ={shown(zone, ())!r}",
            remedy="set TZ to a name such as UTC or Europe/Berlin, and start the program again",
        )
    return SetupError(
        f"chDB cannot be loaded: {shown(str(cause), ())}",
        remedy="fix the cause, or install chDB again, and start the program again",
    )


def _innermost(exc: BaseException) -> BaseException:
    while inner := exc.__cause__ or exc.__context__:
        exc = inner
    return exc


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo

    # The engine takes no POSIX rules, but a colon and a file's path.
    name = name.removeprefix(":")
    if name.startswith("/"):
        return Path(name).exists()
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return False
    return True


def zstd() -> Any:
    """Return the zstd module: the standard library's from Python 3.14."""
    return imported(_ZSTD)


def _after_fork_in_child() -> None:
    global _engine_was_inherited  # it belongs to the process
    _engine_was_inherited = _engine_was_inherited or "chdb" in sys.modules


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
