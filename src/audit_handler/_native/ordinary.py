"""Give `_call.c` the objects of one pipeline."""

from __future__ import annotations

import datetime
import logging
import os
import sys
import uuid
from collections.abc import Callable
from dataclasses import astuple
from decimal import Decimal
from types import MappingProxyType, ModuleType
from typing import Any

from audit_handler import context
from audit_handler._native.program import program_of
from audit_handler._process.imports import imported
from audit_handler._record.encoder import NOT_EXTRAS, REDACT_EXCEPT, RecordEncoder
from audit_handler._record.metadata import MARKS
from audit_handler._record.redaction.names import GIVEN, KIND, LABEL, LOOK, TEXT, VALUE
from audit_handler._record.redaction.redactor import SHORT
from audit_handler._record.redaction.values import LONGEST_STATE, MASK_BEGINS, ODD, REDACTED
from audit_handler._record.span_ids import active_span_ids
from audit_handler.schema import COLUMNS, Kind
from audit_handler.spool import ROW_OVERHEAD_BYTES, Appending

__all__ = ["call_of", "path"]

EXTENSION = "audit_handler._native._call"
"""The module that is made of `_call.c`, where it could be built."""
PURE = "AUDIT_HANDLER_PURE"
"""The environment variable that leaves the extension out."""

# The kinds of names in `_call.c`. Of a column of another kind, the record goes to Python.
_SKIPPED, _HANDED_BACK, _METADATA = 0, 1, 8
_KINDS = {
    Kind.TEXT: 2,
    Kind.CONTENT: 3,
    Kind.UINT16: 4,
    Kind.UINT32: 5,
    Kind.IP: 6,
    Kind.OUTCOME: 7,
}
_KIND_BITS = 8
# Of arguments of a message: formatting them twice has no effect.
_PRINTABLE = frozenset({str, int, float, bool, type(None), Decimal, uuid.UUID, datetime.date})


def _kinds() -> dict[str, int]:
    """Return the kind of each name that is not metadata, and the number of its column."""
    kinds = dict.fromkeys(NOT_EXTRAS, _SKIPPED << _KIND_BITS)
    for number, (name, kind) in enumerate(COLUMNS.items()):
        if name not in NOT_EXTRAS:
            kinds[name] = _KINDS.get(kind, _HANDED_BACK) << _KIND_BITS | number
    kinds["metadata"] = _METADATA << _KIND_BITS
    for name in (REDACT_EXCEPT, "getMessage", *MARKS):
        kinds[name] = _HANDED_BACK << _KIND_BITS
    return kinds


def _extension() -> ModuleType | str:
    """Return the extension, or the reason why there is none."""
    if os.environ.get(PURE, "0") not in ("", "0"):
        return f"{PURE} is set"
    try:
        return imported(EXTENSION)
    except ImportError as exc:
        if isinstance(exc, ModuleNotFoundError):
            return "the package was installed without the extension"
        return f"the extension cannot be loaded: {exc}"


def path() -> str:
    """Return which code encodes the ordinary record: ``C``, or ``Python`` and why."""
    found = _extension()
    return f"Python, because {found}" if isinstance(found, str) else "C"


def call_of(
    encoder: RecordEncoder,
    appending: Appending | None,
    *,
    listener: Any = None,
    new_state: Any = None,
    put_line: Callable[[bytes, str, float], None] | None = None,
    put_record: Callable[[logging.LogRecord, float], None] | None = None,
) -> Any:
    """
    Return the ``Call`` of one pipeline, or None where only Python may encode.

    Takes 25 to 50 ms for the first encoder with these patterns.

    Args:
        encoder: Encodes the other records.
        appending: Of the spool. With None, each row goes to *put_line*.
        listener: Its *state* is not *new_state* once its thread serves.
        put_line: Puts an encoded row into the spool.
        put_record: Encodes a record and puts it into the spool.
    """
    extension = _extension()
    redactor = encoder.redactor
    get_message = logging.LogRecord.getMessage
    if (
        isinstance(extension, str)
        or encoder.lists_redacted
        or type(encoder) is not RecordEncoder
        # An application may have replaced it; C formats as the original does.
        or get_message.__module__ != "logging"
        or get_message.__qualname__ != "LogRecord.getMessage"
    ):
        return None
    program = program_of(*redactor.suspects.patterns)
    if program is None:
        return None
    spool = appending or Appending(None, None, None, None, None, 0, 0, 0)
    return extension.Call(
        record_type=logging.LogRecord,
        get_message=get_message,
        attributes=tuple(vars(logging.makeLogRecord({}))),
        kinds=_kinds(),
        columns=tuple(f'"{name}":'.encode() for name in COLUMNS),
        placeholder=context.Placeholder,
        context=encoder.context,
        no_fields=context.NO_FIELDS,
        proxy_type=MappingProxyType,
        uuid_type=uuid.UUID,
        printable_types=_PRINTABLE,
        modules=sys.modules,
        trace_name="opentelemetry.trace",
        context_name="opentelemetry.context",
        span_columns=("request_id", "trace_id", "span_id"),
        span_ids=active_span_ids,
        time_of=encoder.times.of_record,
        counter=encoder.ids.count if encoder.ids else None,
        id_middle=encoder.ids.middle if encoder.ids else "",
        service_name=encoder.service_name,
        outcomes={text: text for text in ("success", "failure", "unknown")},
        addresses=encoder.addresses.known,
        read_address=encoder.addresses.read,
        verdicts=redactor.names.verdicts,
        hidden=redactor.walk.hidden,
        redacted=REDACTED,
        known_texts=redactor.suspects.known,
        may_be_in=redactor.suspects.may_be_in,
        may_be_in_json=redactor.suspects.may_be_in_json,
        program=astuple(program),
        mask_begins="".join(MASK_BEGINS),
        kind_bits=KIND,
        given_kind=GIVEN,
        unusual_flags=LABEL | VALUE | LOOK | TEXT,
        odd_flags=ODD,
        longest_state=LONGEST_STATE,
        most_row_bytes=encoder.cutter.uncut_bytes,
        row_overhead=ROW_OVERHEAD_BYTES,
        short_text=SHORT,
        listener=listener,
        new_state=new_state,
        put_line=put_line,
        put_record=put_record,
        zero=0,
        **spool._asdict(),
    )
