"""
A `LogRecord` and the bound context become one row of the table, encoded as JSON.

The names of extras, of bound fields and of columns are the same. An extra wins over a bound field,
that over a default. What is no column goes to *metadata*, and stands beside the columns too:
ClickHouse takes it there for a column that was added to the table, and passes over it otherwise, so
that the handler need not know the table while it logs.

A value that its column cannot hold never costs the row: the column gets its default, and
``metadata._invalid`` keeps the original. The check is ours because ClickHouse wraps 70000 to 4464
without a word and refuses a whole batch for one bad address.
"""

from __future__ import annotations

import logging
import traceback
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime, timezone
from ipaddress import ip_address
from typing import Any

import msgspec

from audit_handler._ids import EventIds
from audit_handler.redaction import Redactor
from audit_handler.schema import COLUMNS, Kind
from audit_handler.tracing import active_span_ids

__all__ = ["RecordEncoder"]

_NOT_EXTRAS = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    # Python 3.12's own attribute; named here so that records from elsewhere are read alike on 3.10
    # and 3.11.
    "taskName",
    # Put on every record by OpenTelemetry's logging instrumentation; the ids themselves have
    # columns.
    "otelTraceID",
    "otelSpanID",
    "otelTraceSampled",
    "otelServiceName",
}

_EARLIEST = 1_577_836_800.0
# 2020-01-01, the table's own constraint time_is_sane: ClickHouse would refuse the batch for an
# older row.
_AHEAD = 86_400.0
# A day: clocks of two machines differ by less, and a row far ahead would outlive its retention.
_MIN_CUT = 256
_KNOWN_ADDRESSES_LIMIT = 4096
# Clients of the moment; the limit keeps a scan of the address space from filling the memory.

_encode = msgspec.json.Encoder().encode


class RecordEncoder:
    """
    Encodes records for one handler.

    Safe to call from several threads: what it keeps are caches whose entries never change.

    Args:
        redactor: Takes the secrets out.
        context: Returns the fields bound in the current context.
        service_name: Column *service_name* of records that bring none.
        max_value_bytes: UTF-8 bytes a value may have; longer ones are cut and listed in
            ``metadata._truncated``.
        max_row_bytes: Bytes an encoded row may have; values are cut further until it fits.
        now: Returns Unix seconds, for the check of times that an extra brings.
    """

    def __init__(
        self,
        *,
        redactor: Redactor,
        context: Callable[[], Mapping[str, Any]],
        service_name: str,
        max_value_bytes: int,
        max_row_bytes: int,
        now: Callable[[], float],
    ) -> None:
        self._redactor = redactor
        self._context = context
        self._service_name = service_name
        self._max_value_bytes = max_value_bytes
        self._max_row_bytes = max_row_bytes
        self._now = now
        self._ids = EventIds()
        self._second = (0, "")
        self._addresses: dict[str, bool] = {}

    def encode(self, record: logging.LogRecord) -> tuple[bytes, str]:
        """
        Return the row as one JSON object without line ends, and its month as ``YYYY-MM``.

        *event_time* is the object's first key. Never raises for what a record carries.
        """
        row = self.row(record)
        month = row["event_time"][:7]
        limit = self._max_value_bytes
        while True:
            line = self._encode_row(row, limit)
            if len(line) <= self._max_row_bytes or limit <= _MIN_CUT:
                return line, month
            limit = max(_MIN_CUT, limit // 8)

    def row(self, record: logging.LogRecord) -> dict[str, Any]:
        """
        Return the row of *record*: plain values by column, redacted and checked, *metadata* as a
        dict.

        Columns without a value are left out; ClickHouse fills in its defaults.
        """
        fields = dict(self._context())
        fields.update(item for item in record.__dict__.items() if item[0] not in _NOT_EXTRAS)
        row: dict[str, Any] = {
            "event_time": "",
            "event_id": "",
            "level": record.levelname,
            "logger": record.name,
            "message": self._redactor.clean_text(_message(record)),
        }
        metadata: dict[str, Any] = {}
        invalid: dict[str, Any] = {}
        for name, value in fields.items():
            if value is None:
                continue
            kind = COLUMNS.get(name)
            if kind is Kind.TEXT:
                row[name] = value if type(value) is str else self._as_text(value)
            elif kind is Kind.CONTENT:
                if name == "metadata":
                    continue
                row[name] = (
                    self._redactor.clean_text(value)
                    if type(value) is str
                    else self._redactor.clean(value)
                )
            elif kind is None or kind is Kind.RECORD or kind is Kind.SERVER:
                metadata[name] = (
                    "***REDACTED***"
                    if self._redactor.is_secret(name)
                    else self._redactor.clean(value)
                )
            else:
                checked = self._checked(kind, value)
                if checked is None:
                    invalid[name] = self._redactor.clean(value)
                else:
                    row[name] = checked
        if record.exc_info or record.exc_text or record.stack_info:
            self._add_exception(record, row, metadata)
        self._add_times_and_ids(record, row, invalid)
        if "outcome" not in row:
            row["outcome"] = _outcome(row, record)
        if not row.get("service_name") and self._service_name:
            row["service_name"] = self._service_name
        # Extras of a name that the table may have a column for; never those whose columns are
        # filled otherwise.
        row.update((name, value) for name, value in metadata.items() if name not in COLUMNS)
        if given := fields.get("metadata"):
            metadata = {**self._given_metadata(given), **metadata}
        if invalid:
            metadata["_invalid"] = invalid
        if metadata:
            row["metadata"] = metadata
        return row

    # Values

    def _as_text(self, value: Any) -> str:
        cleaned = self._redactor.clean(value)
        return cleaned if type(cleaned) is str else _encode_safely(cleaned).decode()

    def _checked(self, kind: Kind, value: Any) -> Any:
        """Return *value* as its column takes it, or None when the column cannot hold it."""
        try:
            if kind is Kind.UINT16 or kind is Kind.UINT32:
                return _whole_number(value, 0xFFFF if kind is Kind.UINT16 else 0xFFFFFFFF)
            if kind is Kind.IP:
                return self._address(value)
            if kind is Kind.OUTCOME:
                text = str(value).lower()
                return text if text in ("success", "failure", "unknown") else None
            if kind is Kind.UUID:
                return str(value if isinstance(value, uuid.UUID) else uuid.UUID(value))
            seconds = _unix_seconds(value)
            return (
                self._time_text(seconds) if _EARLIEST <= seconds <= self._now() + _AHEAD else None
            )
        except Exception:  # noqa: BLE001  # whatever a foreign value does, it is then no valid one
            return None

    def _address(self, value: Any) -> str | None:
        text = str(value)
        known = self._addresses.get(text)
        if known is None:
            try:
                known = "%" not in ip_address(text).compressed
            except ValueError:
                known = False
            if len(self._addresses) < _KNOWN_ADDRESSES_LIMIT:
                self._addresses[text] = known
        return text if known else None

    def _given_metadata(self, given: Any) -> dict[str, Any]:
        if type(given) is str and given.lstrip().startswith("{"):
            with suppress(msgspec.DecodeError, UnicodeError, RecursionError):
                given = msgspec.json.decode(given)
        cleaned = self._redactor.clean(given)
        return cleaned if isinstance(cleaned, dict) else {"metadata": cleaned}

    # Time, ids, outcome

    def _add_times_and_ids(
        self, record: logging.LogRecord, row: dict[str, Any], invalid: dict[str, Any]
    ) -> None:
        created = record.created
        if not _EARLIEST <= created <= self._now() + _AHEAD:
            invalid.setdefault("event_time", created)
            created = max(_EARLIEST, self._now())
        row["event_time"] = row["event_time"] or self._time_text(created)
        row["event_id"] = row["event_id"] or self._ids.next(created)
        if span := active_span_ids():
            # 1. An explicit extra wins, 2. then the active span, 3. then what a middleware has
            # bound.
            extras = record.__dict__
            trace_id, span_id = span
            ids = {"request_id": trace_id, "trace_id": trace_id, "span_id": span_id}
            row.update((name, value) for name, value in ids.items() if not extras.get(name))

    def _time_text(self, unix_seconds: float) -> str:
        """
        Return *unix_seconds* as ClickHouse reads it fastest: UTC, a space, microseconds, no zone.
        """
        second = int(unix_seconds)
        cached, text = self._second
        if cached != second:
            text = datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
            # One tuple, so that no thread sees the second of one moment with the text of another.
            self._second = (second, text)
        # Rounded, because a float holds 0.123456 as 0.1234559; but never up into the next second.
        return f"{text}.{min(999_999, round((unix_seconds - second) * 1_000_000)):06d}"

    def _add_exception(
        self, record: logging.LogRecord, row: dict[str, Any], metadata: dict[str, Any]
    ) -> None:
        """
        Put the exception into *error_message*, its stack into *metadata* under OpenTelemetry's
        names.
        """
        clean_text = self._redactor.clean_text
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            name = type(error).__name__
            row.setdefault("error_message", clean_text(f"{name}: {self._as_text(error)}"))
            metadata["exception.type"] = name
            metadata["exception.stacktrace"] = clean_text(_stack(error))
        elif record.exc_text:
            metadata["exception.stacktrace"] = clean_text(record.exc_text)
        if record.stack_info:
            metadata["code.stacktrace"] = clean_text(record.stack_info)

    # Encoding

    def _encode_row(self, row: Mapping[str, Any], limit: int) -> bytes:
        """
        Encode *row* with every value cut to *limit* bytes; *metadata* lists what was cut and what
        was altered.
        """
        out: dict[str, Any] = {}
        cut: dict[str, int] = {}
        for name, value in row.items():
            if type(value) is str:
                if (
                    len(value) * 4 > limit
                    and len(encoded := value.encode("utf-8", "backslashreplace")) > limit
                ):
                    cut[name] = len(encoded)
                    value = encoded[:limit].decode("utf-8", "ignore")
                out[name] = value
            elif type(value) is int:
                out[name] = value
            elif name != "metadata":
                encoded = _encode_safely(value)
                if len(encoded) > limit:
                    cut[name] = len(encoded)
                    out[name] = encoded[:limit].decode("utf-8", "ignore")
                else:
                    # Embedded as it is: a String column stores an object's JSON text byte for byte.
                    out[name] = msgspec.Raw(encoded)
        metadata = row.get("metadata", {})
        try:
            if metadata or cut:
                out["metadata"] = msgspec.Raw(_encode_metadata(metadata, cut, limit))
            return _encode(out)
        except (UnicodeEncodeError, TypeError, RecursionError, ValueError):
            # The rare case: lone surrogates. ClickHouse refuses them, so they are written as their
            # escapes.
            raw = {name: value for name, value in out.items() if isinstance(value, msgspec.Raw)}
            texts = {name: value for name, value in out.items() if name not in raw}
            plain = {
                **_without_surrogates(texts),
                **{_without_surrogates(name): raw[name] for name in raw},
            }
            altered = {
                name: value
                for name, value in plain.items()
                if name in COLUMNS and texts.get(name, value) != value
            }
            marked = {**metadata, "_invalid": {**metadata.get("_invalid", {}), **altered}}
            plain["metadata"] = msgspec.Raw(_encode_metadata(marked, cut, limit))
            return _encode(plain)


def _message(record: logging.LogRecord) -> str:
    try:
        return str(record.getMessage())
    except Exception as exc:  # noqa: BLE001  # wrong arguments, or a __str__ that raises: the row matters more
        template = (
            record.msg if type(record.msg) is str else f"<unreadable {type(record.msg).__name__}>"
        )
        return f"{template} <message arguments: {type(exc).__name__}>"


def _stack(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception as exc:  # noqa: BLE001  # formatting calls the exception's own __str__
        return f"<unreadable stack: {type(exc).__name__}>"


def _outcome(row: Mapping[str, Any], record: logging.LogRecord) -> str:
    status = row.get("status_code")
    if (status is not None and status >= 400) or (record.exc_info and record.exc_info[1]):
        return "failure"
    return "unknown" if not status else "success"


def _whole_number(value: Any, high: int) -> int | None:
    number = round(value) if isinstance(value, float) else int(value)
    return number if 0 <= number <= high else None


def _unix_seconds(value: Any) -> float:
    """
    Return a time given as number of seconds, datetime, date or ISO text; without a zone it is UTC.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=timezone.utc)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
    return float(value)


def _encode_metadata(metadata: Mapping[str, Any], cut: Mapping[str, int], limit: int) -> bytes:
    """
    Encode *metadata* as a JSON object of at most about *limit* bytes, with the sizes of what was
    cut.
    """
    marked = {**metadata, "_truncated": dict(cut)} if cut else metadata
    encoded = _encode_safely(marked)
    if len(encoded) <= limit:
        return encoded
    # Keep it an object: values are kept while there is room, longest names of loss first in the
    # list.
    kept: dict[str, Any] = {}
    sizes = dict(cut)
    room = limit
    for name, value in sorted(metadata.items(), key=lambda item: len(_encode_safely(item[1]))):
        text = _encode_safely(value)
        if len(text) <= room:
            kept[name] = value
            room -= len(text) + len(name) + 4
        else:
            sizes[f"metadata.{name}"] = len(text)
            kept[name] = text[: max(0, min(room, limit // 2))].decode("utf-8", "ignore")
            room = max(0, room - len(text))
    if len(sizes) > 100:
        sizes = {"values": len(sizes)}
        kept = {"_cut": _encode_safely(kept)[: limit // 2].decode("utf-8", "ignore")}
    return _encode_safely({**kept, "_truncated": sizes})


def _encode_safely(value: Any) -> bytes:
    """
    Encode a cleaned value; text with lone surrogates and oversized integers are written as readable
    text.
    """
    try:
        return _encode(value)
    except (UnicodeEncodeError, TypeError, RecursionError, ValueError):
        return _encode(_without_surrogates(value))


def _without_surrogates(value: Any) -> Any:
    """Return a copy of a cleaned value that every JSON encoder takes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, int) and value.bit_length() > 4096:
        # Python refuses to write more than 4,300 decimal digits; hexadecimal has no such limit.
        return hex(value)
    return value
