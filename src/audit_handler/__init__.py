"""
An audit trail for Python applications: ``logger.info(..., extra={"action": ...})`` becomes a row in
ClickHouse.

`AuditHandler` is the logging handler; `bind` and `bound` add fields, such as the user, to every
audit event.
"""

from audit_handler._process.signals import install_signal_handlers
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
