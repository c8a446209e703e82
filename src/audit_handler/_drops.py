"""Rows that were dropped: counted, and told in the trail itself once there is room again."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timezone

__all__ = ["Drops"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drops:
    """Rows that were dropped since the last one that was taken; times in Unix seconds."""

    rows: int
    first: float
    last: float
    reason: str

    def __add__(self, later: Drops) -> Drops:
        return replace(self, rows=self.rows + later.rows, last=max(self.last, later.last))

    def record(self) -> logging.LogRecord:
        """Return the audit that tells of them."""
        return logging.makeLogRecord(
            {
                "name": "audit_handler.handler",
                "levelno": logging.ERROR,
                "levelname": "ERROR",
                "msg": "%d audit rows were dropped",
                "args": (self.rows,),
                "action": "AUDIT_DROPPED",
                "resource_type": "audit_log",
                "outcome": "failure",
                "error_message": self.reason,
                "metadata": {
                    "rows_dropped": self.rows,
                    "first_dropped": _utc_text(self.first),
                    "last_dropped": _utc_text(self.last),
                },
            }
        )


def _utc_text(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, timezone.utc).isoformat()
