"""
Encode a `LogRecord` and the bound context as one row of the table, in JSON.

Extras, bound fields and columns have the same names. An extra wins over a bound field, and a bound
field over a default. An extra that is not a column goes to *metadata*, and is also a key of the
row: ClickHouse stores it if the table has a column of that name, and ignores it otherwise, so the
handler need not know the table while it logs.

A row is stored even if a column cannot hold its value: the column gets its default, and
``metadata._invalid`` keeps the original. This module checks the values, because ClickHouse silently
wraps 70000 to 4464, and rejects a whole batch for one bad address.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from enum import Enum
from functools import partial
from itertools import islice
from typing import Any

from audit_handler._ids import EventIds
from audit_handler._record.cut import RowCutter
from audit_handler._record.exceptions import exception_of, stack_of
from audit_handler._record.metadata import joined, metadata_parts
from audit_handler._record.plain import Unencodable, encode_plain, printable
from audit_handler._record.redaction import Redactor
from audit_handler._record.redaction.paths import redacted_paths
from audit_handler._record.span_ids import active_span_ids
from audit_handler._record.times import EARLIEST, Times
from audit_handler._record.values import Addresses, column_readers, text_of_member
from audit_handler.context import Placeholder
from audit_handler.schema import COLUMNS, Kind

__all__ = ["NOT_EXTRAS", "REDACT_EXCEPT", "RecordEncoder"]

REDACT_EXCEPT = "_redact_except"
"""The attribute of a record that names, in a tuple, keys whose values are not secret in it."""

NOT_EXTRAS = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    # An attribute of Python 3.12; named here so that 3.10 and 3.11 read records from other
    # processes in the same way.
    "taskName",
    # OpenTelemetry's logging instrumentation puts these on every record; the ids themselves have
    # columns.
    "otelTraceID",
    "otelSpanID",
    "otelTraceSampled",
    "otelServiceName",
    REDACT_EXCEPT,
}
"""Attributes of a record that are no extras."""
_NO_NAMES: frozenset[str] = frozenset()
# What a record has before its extras ends in this name.
_LAST = len(vars(logging.makeLogRecord({}))) - 1
_LAST_NAME = list(vars(logging.makeLogRecord({})))[_LAST]
_NONE = ("", None)

# The columns of two kinds; every column of another kind has a reader. Text columns have no reader,
# because a call would cost more than everything else that plain text needs.
_TEXT_COLUMNS = frozenset(name for name, kind in COLUMNS.items() if kind is Kind.TEXT)
_CONTENT_COLUMNS = frozenset(
    name for name, kind in COLUMNS.items() if kind is Kind.CONTENT and name != "metadata"
)

# Control sequences of a terminal (ECMA-48), such as its colours.
_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_MONTH_BEGIN, _MONTH_END = len('{"event_time":"'), len('{"event_time":"YYYY-MM')
# Index in the pair that `active_span_ids` returns.
_SPAN_COLUMNS = {"request_id": 0, "trace_id": 0, "span_id": 1}


class RecordEncoder:
    """
    Encodes records for one handler.

    Safe to call from several threads: its only state is caches whose entries never change.

    Args:
        redactor: Removes the secrets.
        context: Returns the fields bound in the current context.
        service_name: Value of the column *service_name* for records without one.
        max_value_bytes: The most UTF-8 bytes of a value; longer values are cut and listed in
            ``metadata._truncated``.
        max_row_bytes: The most bytes of an encoded row, at least 64 KiB less a spool's overhead;
            values are cut further until the row fits.
        now: Returns Unix seconds, to check the times of records and extras.
        makes_ids: False leaves *event_id* out if the record has none.
        lists_redacted: Whether to list in ``metadata._redacted`` where something was redacted.
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
        lists_redacted: bool = False,
    ) -> None:
        # Public, because `_native` encodes with the same objects.
        self.redactor = redactor
        self.lists_redacted = lists_redacted
        self.context = context
        self.service_name = service_name
        self.cutter = RowCutter(max_value_bytes, max_row_bytes)
        self.ids = EventIds() if makes_ids else None
        self.times = Times(now)
        self.addresses = Addresses()
        self._uncut_bytes = self.cutter.uncut_bytes
        self._readers = column_readers(self.times, self.addresses)

    def encode(self, record: logging.LogRecord) -> tuple[bytes, str]:
        """
        Return the row as one JSON object without line ends, and its month as ``YYYY-MM``.

        *event_time* is the object's first key. Columns without a value are left out; ClickHouse
        fills in its defaults. Never raises because of the content of a record.
        """
        try:
            line = self._line(record, self.context(), {})
        except Unencodable:
            line = self._line(*_without_surrogates(record, self.context()))
        month = line[_MONTH_BEGIN:_MONTH_END].decode()
        if len(line) > self._uncut_bytes:
            line = self.cutter.cut(line)
        return line, month

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
            "level": level
            if type(level) is str and "\x1b" not in level
            else _uncoloured(self.redactor.text_of(level)),
            "logger": name
            if type(name) is str and "\x1b" not in name
            else _uncoloured(self.redactor.text_of(name)),
        }
        texts: dict[str, str] = {"message": _message(record)}
        contents: dict[str, Any] = {}
        others: dict[str, Any] = {}
        given = record.__dict__
        # `LogRecord` sets its names in one order: if the last is in its place, none was deleted.
        extras: Iterator[tuple[str, Any]] = islice(given.items(), _LAST, None)
        if type(record) is not logging.LogRecord or next(extras, _NONE)[0] != _LAST_NAME:
            extras = iter(given.items())
        sources: tuple[tuple[Iterable[tuple[str, Any]], frozenset[str]], ...]
        sources = ((extras, NOT_EXTRAS),)
        if bound:
            sources = ((_not_given(bound, given).items(), _NO_NAMES), *sources)
        readers = self._readers
        for fields, skipped in sources:
            for name, value in fields:
                if type(value) is str and name in _TEXT_COLUMNS:
                    texts[name] = value
                # None means not given.
                elif name in skipped or value is None or type(value) is Placeholder:
                    continue
                elif name in _TEXT_COLUMNS:
                    texts[name] = self._text_of(name, value)
                elif name in _CONTENT_COLUMNS:
                    contents[name] = value
                elif name in readers:
                    try:
                        checked = readers[name](value)
                    except Exception:  # noqa: BLE001  # a foreign value may raise anything; it is then not valid
                        checked = None
                    if checked is None:
                        invalid[name] = value
                    else:
                        row[name] = checked
                        if name == "ip_address" and checked != value and checked != str(value):
                            # With its port, or the proxies behind it.
                            others["ip_address.given"] = value
                else:
                    others[name] = value
        if record.exc_info or record.exc_text or record.stack_info:
            self._add_exception(record, contents, others)
        created: Any = record.created
        time = self.times.of_record(created)
        if time is None:
            invalid.setdefault("event_time", created)
            created = max(EARLIEST, self.times.now())
            time = self.times.text(created)
        if not row["event_time"]:
            row["event_time"] = time
        if not row["event_id"]:
            if self.ids:
                row["event_id"] = self.ids.next(created)
            else:
                del row["event_id"]
        if span := active_span_ids():
            # 1. An explicit extra wins, 2. then the active span, 3. then a bound field.
            for name, index in _SPAN_COLUMNS.items():
                if given.get(name) is None or not texts.get(name):
                    texts[name] = span[index]
        if "outcome" not in row:
            outcome = _outcome(row, record, contents.get("error_message"))
            if outcome == "success" and "outcome" in invalid:
                outcome = "unknown"  # The one that was given may mean a failure.
            row["outcome"] = outcome
        if self.service_name and not texts.get("service_name"):
            texts["service_name"] = self.service_name
        if "event_date" in others and _is_day_of(others["event_date"], row["event_time"]):
            # ClickHouse fills that column with the same day.
            del others["event_date"]
        # These extras make up metadata. They are also keys of the row, except those with the name
        # of a column that has another source.
        metadata = metadata_parts(others, invalid, bound) if others or invalid else []
        redactor = self.redactor
        if type(kept := given.get(REDACT_EXCEPT)) is tuple:
            redactor = redactor.excepting(kept)
        shown = redactor.clean_texts(texts)
        row.update(shown)
        line = encode_plain(row)
        note, paths = None, []
        if self.lists_redacted:
            paths = [name for name, text in texts.items() if text != shown[name]]
            note = _lister(paths)
        if contents:
            line = joined(line, redactor.encode_members(contents, note))
        if not (metadata or paths):
            return line
        note = note and partial(note, "metadata")
        parts = [redactor.encode(part, note) if part else b"{}" for part in metadata]
        beside = parts[0] if others else b"{}"
        if not COLUMNS.keys().isdisjoint(others):
            beside = redactor.encode(
                {name: value for name, value in others.items() if name not in COLUMNS}
            )
        if paths:
            parts.append(encode_plain({"_redacted": sorted(paths)}))
        return joined(line, beside, b'{"metadata":%b}' % joined(*parts))

    def _text_of(self, column: str, value: Any) -> str:
        # Of the type: `isinstance` also asks the object, which may raise.
        if issubclass(type(value), Enum):
            value = text_of_member(value, column)
        return self.redactor.text_of(value)

    def _add_exception(
        self, record: logging.LogRecord, contents: dict[str, Any], others: dict[str, Any]
    ) -> None:
        """
        Put the exception into *error_message*, and its stack into *metadata* under OpenTelemetry's
        names.
        """
        error = exception_of(record)
        if error is not None:
            name = type(error).__name__
            contents.setdefault("error_message", f"{name}: {self.redactor.text_of(error)}")
            others["exception.type"] = name
            others["exception.stacktrace"] = stack_of(error)
        elif record.exc_text:
            others["exception.stacktrace"] = record.exc_text
        if record.stack_info:
            others["code.stacktrace"] = record.stack_info


def _lister(paths: list[str]) -> Callable[[str, Any, Any], None]:
    """Return a function that adds to *paths* where in a value something was redacted."""
    return lambda path, before, after: paths.extend(redacted_paths(before, after, path))


def _not_given(bound: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the *bound* fields that no extra in *given* overrides."""
    return {
        name: value
        for name, value in bound.items()
        if (extra := given.get(name)) is None or type(extra) is Placeholder or name in NOT_EXTRAS
    }


def _uncoloured(text: str) -> str:
    """Return *text* without the escape codes and padding that a colouring formatter added."""
    return _ESCAPE.sub("", text).strip() if "\x1b" in text else text


def _is_day_of(value: Any, event_time: str) -> bool:
    """Return whether *value* is the day of *event_time*, as a date or as text."""
    kind = type(value)
    # Not `str()`: that of a subclass may raise.
    if issubclass(kind, str):
        text = str.__str__(value)
    elif issubclass(kind, date) and not issubclass(kind, datetime):
        text = date.isoformat(value)
    else:
        return False
    return text == event_time[:10]


def _message(record: logging.LogRecord) -> str:
    try:
        return str.__str__(record.getMessage())
    except Exception as exc:  # noqa: BLE001  # wrong arguments, or a __str__ that raises: the row matters more
        template = (
            record.msg if type(record.msg) is str else f"<unreadable {type(record.msg).__name__}>"
        )
        return f"{template} <message arguments: {type(exc).__name__}>"


def _outcome(row: Mapping[str, Any], record: logging.LogRecord, error_message: Any) -> str:
    status = row.get("status_code", 0)
    # A record that SocketHandler sent has only the text of its exception.
    # Not its truth: an array raises when it is asked.
    is_given = error_message is not None and (type(error_message) is not str or error_message != "")
    if (
        is_given
        or record.exc_text
        or (record.exc_info is not None and exception_of(record) is not None)
    ):
        return "failure"
    # HTTP has 100 to 599 (RFC 9110), and fails from 400; in gRPC, 1 to 16 are errors. gRPC's OK is
    # 0, which also stands for no status.
    if status >= 400 or 1 <= status <= 16:
        return "failure"
    return "success" if status >= 100 else "unknown"


def _without_surrogates(
    record: logging.LogRecord, bound: Mapping[str, Any]
) -> tuple[logging.LogRecord, Mapping[str, Any], dict[str, Any]]:
    """
    Return copies of *record* and *bound* with lone surrogates escaped, and the columns that had
    such surrogates.
    """
    given = {**vars(record), "msg": _message(record), "args": None}
    escaped = _escaped(given)
    bound_escaped = _escaped(_not_given(bound, given))
    columns = {"msg": "message", "name": "logger", "levelname": "level"}
    altered = {columns.get(name, name): text for name, text in escaped.items()} | bound_escaped
    return (
        logging.makeLogRecord({**given, **escaped}),
        {**bound, **bound_escaped},
        {name: text for name, text in altered.items() if name in COLUMNS},
    )


def _escaped(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts in *fields* that have lone surrogates, with the surrogates escaped."""
    return {
        name: text
        for name, value in fields.items()
        if type(value) is str and (text := printable(value)) != value
    }
