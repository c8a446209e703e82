"""Read the ids of the active OpenTelemetry span, at no cost if OpenTelemetry is not used."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

__all__ = ["activated", "active_span", "active_span_ids"]

_MODULE = "opentelemetry.trace"


def active_span() -> Any:
    """
    Return the active span, for `activated`, or None if there is none.

    Looks for the API in the loaded modules instead of importing it: a program that never imported
    it has no active span, and need not pay for the import.
    """
    trace: Any = sys.modules.get(_MODULE)
    if trace is None:
        return None
    try:
        span = trace.get_current_span()
        return span if span.get_span_context().is_valid else None
    except AttributeError:
        # Another thread is importing the module at this moment.
        return None


def active_span_ids() -> tuple[str, str] | None:
    """
    Return trace id (32 hex digits) and span id (16) of the active span, or None when there is none.
    """
    span = active_span()
    if span is None:
        return None
    span_context = span.get_span_context()
    return f"{span_context.trace_id:032x}", f"{span_context.span_id:016x}"


def activated(span: Any) -> AbstractContextManager[object]:
    """Make *span*, which `active_span` returned, the active span of a ``with`` block."""
    if span is None:
        return nullcontext()
    trace: Any = sys.modules[_MODULE]
    manager: AbstractContextManager[object] = trace.use_span(
        span, end_on_exit=False, record_exception=False, set_status_on_exception=False
    )
    return manager
