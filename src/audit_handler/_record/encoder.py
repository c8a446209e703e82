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

import json
import logging
import traceback
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime, timezone
from enum import Enum
from ipaddress import ip_address
from typing import Any

from audit_handler._ids import EventIds
from audit_handler._record.plain import Raw, Unencodable, encode, encode_plain, plain, printable
from audit_handler._record.redaction import Redactor
from audit_handler._record.span_ids import active_span_ids
from audit_handler.context import Placeholder
from audit_handler.schema import COLUMNS, Kind

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
_MIN_CUT = 64
# So that every column cut to it, with every character escaped, still fits the smallest row.
_KNOWN_ADDRESSES_LIMIT = 4096
# Clients of the moment; the limit keeps a scan of the address space from filling the memory.

_MONTH = slice(len('{"event_time":"'), len('{"event_time":"YYYY-MM'))
_MARKS = ("_invalid", "_truncated")
_NUMBERS = (float, int)
_SPAN_COLUMNS = {"request_id": 0, "trace_id": 0, "span_id": 1}

# Reading a member from its Enum costs more than all else that is done for a plain value.
_TEXT = Kind.TEXT
_CONTENT = Kind.CONTENT
_NO_EXTRA = object()


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
        max_row_bytes: Bytes an encoded row may have, at least 64 KiB less a spool's overhead;
            values are cut further until it fits.
        now: Returns Unix seconds, for the check of times that an extra brings.
        makes_ids: False leaves *event_id* out of rows that bring none.
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
        makes_ids: bool = True,
    ) -> None:
        self._redactor = redactor
        self._context = context
        self._service_name = service_name
        self._limits = _limits(max_value_bytes)
        self._uncut_bytes = min(max_value_bytes, max_row_bytes)
        self._max_row_bytes = max_row_bytes
        self._now = now
        self._ids = EventIds() if makes_ids else None
        self._second = (0, "")
        self._addresses: dict[str, bool] = {}
        readers: Mapping[Kind, Callable[[Any], Any]] = {
            Kind.UINT16: lambda value: _whole_number(value, 0xFFFF),
            Kind.UINT32: lambda value: _whole_number(value, 0xFFFFFFFF),
            Kind.IP: self._address,
            Kind.OUTCOME: _known_outcome,
            Kind.UUID: lambda value: str(value if type(value) is uuid.UUID else uuid.UUID(value)),
            Kind.TIME: self._time,
        }
        self._kinds: Mapping[str, Any] = {
            name: readers.get(kind, kind)
            for name, kind in COLUMNS.items()
            if kind not in (Kind.RECORD, Kind.SERVER) and name != "metadata"
        }
        """
        The columns that an extra may fill by itself: text, content, or what returns a value as the
        column takes it, and raises or returns None when the column cannot hold it.
        """
        self._attribute_kinds = {**self._kinds, **dict.fromkeys(_NOT_EXTRAS, _NO_EXTRA)}

    def encode(self, record: logging.LogRecord) -> tuple[bytes, str]:
        """
        Return the row as one JSON object without line ends, and its month as ``YYYY-MM``.

        *event_time* is the object's first key. Columns without a value are left out; ClickHouse
        fills in its defaults. Never raises for what a record carries.
        """
        try:
            line = self._line(record, self._context(), {})
        except Unencodable:
            line = self._line(*_without_surrogates(record, self._context()))
        month = line[_MONTH].decode()
        # Where the whole row is no longer than one value may be, there is nothing to cut.
        if len(line) <= self._uncut_bytes:
            return line, month
        row = json.loads(line)
        for limit in self._limits:
            line = _encode_cut(row, limit)
            if len(line) <= self._max_row_bytes:
                return line, month
        # More extras than a row can hold: what is left of them is in metadata.
        return _encode_cut({name: row[name] for name in row if name in COLUMNS}, _MIN_CUT), month

    def _line(
        self, record: logging.LogRecord, bound: Mapping[str, Any], invalid: dict[str, Any]
    ) -> bytes:
        """
        Return the row, redacted and checked, in full length.

        Raises:
            Unencodable: A text has lone surrogates.
        """
        level, name = record.levelname, record.name
        row: dict[str, Any] = {
            "event_time": "",
            "event_id": "",
            "level": level if type(level) is str else self._as_text(level),
            "logger": name if type(name) is str else self._as_text(name),
        }
        message = _message(record)
        contents: dict[str, Any] = {"message": message}
        others: dict[str, Any] = {}
        given = record.__dict__
        sources: tuple[tuple[Any, Mapping[str, Any]], ...] = ((self._attribute_kinds.get, given),)
        if bound:
            sources = ((self._kinds.get, _left(bound, given)), *sources)
        for kind_of, fields in sources:
            for name, value in fields.items():
                kind = kind_of(name)
                # A None says nothing.
                if kind is _NO_EXTRA or value is None or type(value) is Placeholder:
                    continue
                if kind is _TEXT:
                    row[name] = value if type(value) is str else self._as_text(value)
                elif kind is _CONTENT:
                    contents[name] = value
                elif kind is None:
                    others[name] = value
                else:
                    try:
                        checked = kind(value)
                    except Exception:  # noqa: BLE001  # a foreign value does anything; it is then no valid one
                        checked = None
                    if checked is None:
                        invalid[name] = value
                    else:
                        row[name] = checked
        if record.exc_info or record.exc_text or record.stack_info:
            self._add_exception(record, contents, others)
        self._add_times(record, row, invalid)
        if span := active_span_ids():
            # 1. An explicit extra wins, 2. then the active span, 3. then what a middleware has
            # bound.
            for name, index in _SPAN_COLUMNS.items():
                if given.get(name) is None or not row.get(name):
                    row[name] = span[index]
        if "outcome" not in row:
            row["outcome"] = _outcome(row, record)
        if not row.get("service_name") and self._service_name:
            row["service_name"] = self._service_name
        # Extras that are no columns make up metadata, and stand beside the columns too, but for
        # those of a name whose column is filled otherwise.
        metadata = _metadata(others, invalid, bound) if others or invalid else []
        if len(contents) == 1 and contents["message"] is message and not metadata:
            # Nothing else to clean, as mostly: a text costs less than a look at its JSON.
            row["message"] = self._redactor.clean_text(message)
            return encode_plain(row)
        encoded = self._redactor.encode([*contents.values(), *metadata])
        row.update(zip(contents, map(Raw, encoded)))  # noqa: B905  # to say strict=False takes 0.2 us
        line = encode_plain(row)
        if not metadata:
            return line
        parts = encoded[len(contents) :]
        beside = parts[0]
        if not COLUMNS.keys().isdisjoint(others):
            own = {name: value for name, value in others.items() if name not in COLUMNS}
            [beside] = self._redactor.encode([own])
        return _joined(line, beside, b'{"metadata":%b}' % _joined(*parts))

    # Values

    def _as_text(self, value: Any) -> str:
        cleaned = self._redactor.clean(value)
        return printable(cleaned) if type(cleaned) is str else encode(cleaned).decode()

    def _time(self, value: Any) -> str | None:
        seconds = _unix_seconds(value)
        return self._time_text(seconds) if _EARLIEST <= seconds <= self._now() + _AHEAD else None

    def _address(self, value: Any) -> str | None:
        text = str(value)
        known = self._addresses.get(text)
        if known is None:
            try:
                known = "%" not in ip_address(text).compressed
            except ValueError:
                known = False
            if len(self._addresses) < _KNOWN_ADDRESSES_LIMIT and len(text) < 64:
                self._addresses[text] = known
        return text if known else None

    # Time, ids, outcome

    def _add_times(
        self, record: logging.LogRecord, row: dict[str, Any], invalid: dict[str, Any]
    ) -> None:
        created: Any = record.created
        if not (isinstance(created, _NUMBERS) and _EARLIEST <= created <= self._now() + _AHEAD):
            invalid.setdefault("event_time", created)
            created = max(_EARLIEST, self._now())
        row["event_time"] = row["event_time"] or self._time_text(created)
        if not row["event_id"]:
            if self._ids:
                row["event_id"] = self._ids.next(created)
            else:
                del row["event_id"]

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
        return "%s.%06d" % (text, min(999_999, (unix_seconds - second) * 1e6 + 0.5))  # noqa: UP031

    def _add_exception(
        self, record: logging.LogRecord, contents: dict[str, Any], others: dict[str, Any]
    ) -> None:
        """
        Put the exception into *error_message*, its stack into *metadata* under OpenTelemetry's
        names.
        """
        error = _exception(record)
        if error is not None:
            name = type(error).__name__
            contents.setdefault("error_message", f"{name}: {self._as_text(error)}")
            others["exception.type"] = name
            others["exception.stacktrace"] = _stack(error)
        elif record.exc_text:
            others["exception.stacktrace"] = record.exc_text
        if record.stack_info:
            others["code.stacktrace"] = record.stack_info


def _left(bound: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is bound where the extras among *given* leave it the word."""
    return {
        name: value
        for name, value in bound.items()
        if (extra := given.get(name)) is None or type(extra) is Placeholder or name in _NOT_EXTRAS
    }


def _metadata(
    others: dict[str, Any], invalid: dict[str, Any], bound: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """
    Return what *metadata* is made of: the extras, what was given and bound for it, and the marks.
    """
    # Both count, where some is bound and some is given: it is a column of many values.
    given = others.pop("metadata", None)
    whole = {**_given(bound.get("metadata")), **_given(given)}
    whole = {name: value for name, value in whole.items() if name not in others}
    for mark in _MARKS:
        for part in (whole, others):
            if mark in part:
                invalid[mark] = part.pop(mark)
    return [others, whole, {"_invalid": invalid} if invalid else {}]


def _given(metadata: Any) -> dict[Any, Any]:
    """Return what the application gave for *metadata* as an object."""
    if type(metadata) is str and metadata.lstrip().startswith("{"):
        with suppress(ValueError, RecursionError):
            metadata = json.loads(metadata)
    if type(metadata) is not dict:
        metadata = {} if metadata is None else plain(metadata)
    return metadata if type(metadata) is dict else {"metadata": metadata}


def _joined(*objects: bytes) -> bytes:
    """Return one JSON object with all that is in *objects*, which have no names in common."""
    return b"{%b}" % b",".join(text[1:-1] for text in objects if text != b"{}")


def _without_surrogates(
    record: logging.LogRecord, bound: Mapping[str, Any]
) -> tuple[logging.LogRecord, Mapping[str, Any], dict[str, Any]]:
    """
    Return a copy of *record* and *bound*, with lone surrogates written so that they can be read,
    and which columns had any.
    """
    given = {**vars(record), "msg": _message(record), "args": None}
    mended = _mended(given)
    bound_mended = _mended(_left(bound, given))
    columns = {"msg": "message", "name": "logger", "levelname": "level"}
    altered = {columns.get(name, name): text for name, text in mended.items()} | bound_mended
    return (
        logging.makeLogRecord({**given, **mended}),
        {**bound, **bound_mended},
        {name: text for name, text in altered.items() if name in COLUMNS},
    )


def _mended(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts among *fields* that have lone surrogates, mended."""
    return {
        name: text
        for name, value in fields.items()
        if type(value) is str and (text := printable(value)) != value
    }


def _limits(max_value_bytes: int) -> tuple[int, ...]:
    """Return the sizes to which values are cut, one after the other, until the row fits."""
    limits = [max_value_bytes]
    while limits[-1] > _MIN_CUT:
        limits.append(max(_MIN_CUT, limits[-1] // 8))
    return tuple(limits)


def _message(record: logging.LogRecord) -> str:
    try:
        return str.__str__(record.getMessage())
    except Exception as exc:  # noqa: BLE001  # wrong arguments, or a __str__ that raises: the row matters more
        template = (
            record.msg if type(record.msg) is str else f"<unreadable {type(record.msg).__name__}>"
        )
        return f"{template} <message arguments: {type(exc).__name__}>"


def _exception(record: logging.LogRecord) -> BaseException | None:
    """Return the exception that *record* carries, if it is still there."""
    info: Any = record.exc_info
    error = info[1] if isinstance(info, tuple) and len(info) == 3 else info
    return error if isinstance(error, BaseException) else None


def _stack(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception as exc:  # noqa: BLE001  # formatting calls the exception's own __str__
        return f"<unreadable stack: {type(exc).__name__}>"


def _outcome(row: Mapping[str, Any], record: logging.LogRecord) -> str:
    status = row.get("status_code", 0)
    # A record that was sent by SocketHandler has the exception's text alone.
    if status >= 400 or record.exc_text or _exception(record) is not None:
        return "failure"
    return "success" if status else "unknown"


def _known_outcome(value: Any) -> str | None:
    text = str(value.value if isinstance(value, Enum) else value).lower()
    return text if text in ("success", "failure", "unknown") else None


def _whole_number(value: Any, high: int) -> int | None:
    if type(value) is int:
        return value if 0 <= value <= high else None
    if type(value) is bool:
        return None
    number = int(value) if isinstance(value, str) else value
    # Compared before it is rounded: that takes a minute for Decimal("1e999999").
    return round(number) if -1 < number < high + 1 and 0 <= round(number) <= high else None


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


def _encode_cut(row: Mapping[str, Any], limit: int) -> bytes:
    """Encode *row* with every value cut to *limit* bytes; *metadata* lists what was cut."""
    out: dict[str, Any] = {}
    cut: dict[str, int] = {}
    for name, value in row.items():
        if name == "metadata":
            continue
        encoded = value.encode() if type(value) is str else encode(value)
        if len(encoded) > limit:
            cut[name] = len(encoded)
            out[name] = encoded[:limit].decode("utf-8", "ignore")
        else:
            out[name] = value if type(value) is str else Raw(encoded)
    metadata = row.get("metadata", {})
    if metadata or cut:
        out["metadata"] = Raw(_encode_metadata(metadata, cut, limit))
    return encode_plain(out)


def _encode_metadata(metadata: Mapping[str, Any], cut: Mapping[str, int], limit: int) -> bytes:
    """
    Encode *metadata* as a JSON object of about *limit* bytes at most, with the sizes of what was
    cut.
    """
    encoded = encode({**metadata, "_truncated": cut} if cut else metadata)
    if len(encoded) <= limit:
        return encoded
    # Keep it an object: the small values whole, of the others what there is room for, as text.
    kept: dict[str, Any] = {}
    sizes = dict(cut)
    room = limit
    pairs = [(name, value, encode(value)) for name, value in metadata.items()]
    for name, value, text in sorted(pairs, key=lambda pair: len(pair[0]) + len(pair[2])):
        room -= len(encode(name)) + 2
        if len(text) <= room:
            kept[name] = value
            room -= len(text)
        else:
            sizes[f"metadata.{name}"] = len(text)
            if room > 0:
                # Half, because its quotes and backslashes are escaped once more.
                kept[name] = text[: room // 2].decode("utf-8", "ignore")
                room = 0
    if len(encode(sizes)) > limit:
        sizes = {"values": len(sizes)}
    return encode({**kept, "_truncated": sizes})
