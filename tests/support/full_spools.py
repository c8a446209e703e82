"""Fills the spool of a handler."""

from __future__ import annotations

import logging

from audit_handler import AuditHandler
from tests.support.asgi import private_logger


def fill(handler: AuditHandler) -> None:
    """Log until there is no space for another 2,000 bytes."""
    logger = private_logger(logging.INFO, handler)
    while handler.status().bytes_waiting < handler.settings.max_spool_bytes - 2_000:
        logger.info("fills the spool", extra={"action": "FILL", "new_value": "y" * 1_000})
