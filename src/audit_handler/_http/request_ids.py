"""The ids of a request: that of the client or a new one, and the id of its trace."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping

from audit_handler._record.span_ids import active_span_ids

__all__ = ["is_request_id", "request_ids"]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT = re.compile(
    # Version 00 has 55 characters; only a later one may have more, behind another dash.
    r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)


def is_request_id(text: str) -> bool:
    """Return whether *text*, which a client sent, is a valid id: 1 to 128 plain characters."""
    return _REQUEST_ID.fullmatch(text) is not None


def request_ids(headers: Mapping[str, str]) -> dict[str, str]:
    """
    Return *request_id*, and *trace_id* if the client sent a valid ``traceparent``.

    The request's id is the client's ``X-Request-ID`` if that is valid, else the trace id of the
    active span, else a new one.

    Args:
        headers: By lower-case name.
    """
    ids: dict[str, str] = {}
    sent_id = headers.get("x-request-id", "")
    if is_request_id(sent_id):
        ids["request_id"] = sent_id
    else:
        span = active_span_ids()
        ids["request_id"] = span[0] if span else uuid.uuid4().hex
    if trace := _TRACEPARENT.fullmatch(headers.get("traceparent", "")):
        ids["trace_id"] = trace[1]
    return ids
