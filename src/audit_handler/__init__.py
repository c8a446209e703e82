"""
An audit trail for Python applications: ``logger.info(..., extra={"action": ...})`` becomes a row in
ClickHouse.

`AuditHandler` is the logging handler; `bind` and `bound` add fields, such as the user, to every
audit event.
"""

from typing import TYPE_CHECKING, Any

from audit_handler._process.imports import imported
from audit_handler.changes import changes
from audit_handler.context import bind, bound, clear, current
from audit_handler.errors import (
    AuditHandlerError,
    ConfigurationError,
    DataError,
    DeliveryError,
    SetupError,
    SpoolError,
    SpoolFull,
    SpoolUnavailable,
    SpoolUnsynced,
    TransientError,
)

if TYPE_CHECKING:
    from audit_handler._process.signals import install_signal_handlers
    from audit_handler.filter import AuditContextFilter
    from audit_handler.handler import AuditHandler
    from audit_handler.policy import Rule
    from audit_handler.request import audit
    from audit_handler.status import Status

__all__ = [
    "AuditContextFilter",
    "AuditHandler",
    "AuditHandlerError",
    "ConfigurationError",
    "DataError",
    "DeliveryError",
    "Rule",
    "SetupError",
    "SpoolError",
    "SpoolFull",
    "SpoolUnavailable",
    "SpoolUnsynced",
    "Status",
    "TransientError",
    "audit",
    "bind",
    "bound",
    "changes",
    "clear",
    "current",
    "install_signal_handlers",
]

# Loaded when they are first used (PEP 562): a module that only binds fields, or catches an error,
# does not load the handler with its spool, its rules of redaction and its listener.
_MODULES = {
    "AuditContextFilter": "audit_handler.filter",
    "AuditHandler": "audit_handler.handler",
    "Rule": "audit_handler.policy",
    "Status": "audit_handler.status",
    "audit": "audit_handler.request",
    "install_signal_handlers": "audit_handler._process.signals",
}
_SUBMODULES = frozenset({"config", "filter", "handler", "policy", "request", "schema", "status"})
"""Public modules that are attributes of the package, whether they are imported or not."""


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return imported(f"{__name__}.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(imported(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
