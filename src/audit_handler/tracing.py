"""
OpenTelemetry's ids of the active span, taken without making OpenTelemetry a cost for those who do
not use it.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["active_span_ids"]

_MODULE = "opentelemetry.trace"


def active_span_ids() -> tuple[str, str] | None:
    """
    Return trace id (32 hex digits) and span id (16) of the active span, or None when there is none.

    The API is looked up among the loaded modules instead of imported: a program that never imported
    it has no active span, and need not pay for the import.
    """
    trace: Any = sys.modules.get(_MODULE)
    if trace is None:
        return None
    try:
        span_context = trace.get_current_span().get_span_context()
        if not span_context.is_valid:
            return None
        return f"{span_context.trace_id:032x}", f"{span_context.span_id:016x}"
    except AttributeError:
        # Half imported by another thread at this very moment.
        return None
