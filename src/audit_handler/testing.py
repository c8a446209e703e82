"""
Test the audit events of an application, without a database, a spool or a handler.

    def test_an_order_is_audited(client):
        with capture_audits() as audits:
            client.post("/api/orders", json={"name": "Assam"})

        row = audits.one(action="CREATE", resource_type="orders")
        assert row["new_value"] == {"name": "Assam"}

As a fixture::

    @pytest.fixture
    def audits():
        with capture_audits() as audits:
            yield audits
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, overload

from audit_handler import context
from audit_handler._record.encoder import RecordEncoder
from audit_handler._record.redaction import Redactor

__all__ = ["CapturedAudits", "capture_audits"]

# Rows in a message: more than most tests log, and less than a screen.
_SHOWN_ROWS = 10
_NOT_SHOWN = frozenset({"event_id", "event_time", "level"})


class CapturedAudits(Sequence[dict[str, Any]]):
    """
    The captured rows, in the order in which they were logged.

    Each row is a dict by column, redacted and checked as it would be stored; columns without a
    value are left out. Objects in *metadata*, *old_value*, *new_value* and similar columns are
    dicts and lists; the table stores their JSON text.

    Safe to read while other threads log.
    """

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} rows>"

    def matching(self, **fields: Any) -> list[dict[str, Any]]:
        """Return the rows that have all *fields*; None stands for a missing field."""
        return [
            row
            for row in list(self._rows)
            if all(row.get(name) == value for name, value in fields.items())
        ]

    def one(self, **fields: Any) -> dict[str, Any]:
        """
        Return the only row that has all *fields*.

        Raises:
            AssertionError: There is no such row, or more than one. The message shows the rows.
        """
        rows = self.matching(**fields)
        if len(rows) != 1:
            raise AssertionError(self._message("one row", fields, len(rows)))
        return rows[0]

    def none(self, **fields: Any) -> None:
        """
        Check that no row has all *fields*; without fields, that there is no row.

        Raises:
            AssertionError: There is such a row. The message shows the rows.
        """
        if rows := self.matching(**fields):
            raise AssertionError(self._message("no row", fields, len(rows)))

    def clear(self) -> None:
        """Remove all rows."""
        self._rows.clear()

    def _message(self, wanted: str, fields: dict[str, Any], found: int) -> str:
        rows = list(self._rows)
        described = f" with {_described(fields)}" if fields else ""
        lines = [f"expected {wanted}{described}, found {found} in {len(rows)} rows"]
        for number, row in enumerate(rows[:_SHOWN_ROWS], 1):
            lines.append(f"  {number}. {_described(row)}")
            # Show why the row does not match.
            lines += [
                f"       {name}: expected {value!r}, is {row.get(name)!r}"
                for name, value in fields.items()
                if row.get(name) != value
            ]
        if len(rows) > _SHOWN_ROWS:
            lines.append(f"  and {len(rows) - _SHOWN_ROWS} more")
        if not rows:
            lines.append(
                "  nothing was audited: does the record carry an action, is its level enabled, and "
                "does its logger propagate to the captured one?"
            )
        return "\n".join(lines)


@contextmanager
def capture_audits(
    logger: str | logging.Logger | None = None,
    *,
    level: int | str = logging.INFO,
    service_name: str = "",
    redact_keys: Iterable[str] = (),
    redact_except: Iterable[str] = (),
    redact_patterns: Iterable[str] = (),
    redact_default_keys: bool = True,
    max_value_bytes: int = 64 * 1024,
) -> Iterator[CapturedAudits]:
    """
    Collect the audit events that any thread logs inside the block.

    Blocks may be nested, and used by several threads: each block collects its own rows. Other
    handlers get the records too.

    Args:
        logger: The logger to listen on, or its name. By default the root logger, which gets the
            records of all loggers that propagate.
        level: The logger's level is lowered to this one during the block, and restored after it.
            Other loggers keep their levels.
        service_name: Value of the column *service_name* for rows without one.
        redact_keys: Parts of key names to redact in addition to the default ones.
        redact_except: Names of keys whose values stay, whatever else says that they are secret.
        redact_patterns: Regular expressions of secrets in texts, in addition to the known ones.
        redact_default_keys: False redacts *redact_keys* and *redact_patterns* only.
        max_value_bytes: The most UTF-8 bytes of one value; a longer value is cut.
    """
    target = logger if isinstance(logger, logging.Logger) else logging.getLogger(logger)
    audits = CapturedAudits()
    redactor = Redactor(
        redact_keys,
        exceptions=redact_except,
        patterns=redact_patterns,
        use_default_keys=redact_default_keys,
    )
    encoder = RecordEncoder(
        redactor=redactor,
        context=context.current,
        service_name=service_name,
        max_value_bytes=max_value_bytes,
        max_row_bytes=8 * 1024 * 1024,
        now=time.time,
    )
    handler = _Capturing(encoder, redactor, audits._rows)
    lowered = _Lowered.lower(target, logging._checkLevel(level))  # type: ignore[attr-defined]  # names and numbers, as logging accepts them
    target.addHandler(handler)
    try:
        yield audits
    finally:
        target.removeHandler(handler)
        lowered.restore()


class _Capturing(logging.Handler):
    """
    Encodes each record during the call, as `AuditHandler` does, and keeps the row. Has the methods
    that the middlewares call on handlers.
    """

    # As in `AuditHandler`.
    ignores_reports = True

    def __init__(
        self, encoder: RecordEncoder, redactor: Redactor, rows: list[dict[str, Any]]
    ) -> None:
        super().__init__()
        self.redactor = redactor
        self._encoder = encoder
        self._rows = rows

    def handle(self, record: logging.LogRecord) -> bool:
        is_ours = str(record.name).startswith("audit_handler.")
        is_taken = record.__dict__.get("action") is not None and not is_ours
        if is_taken:
            self._rows.append(json.loads(self._encoder.encode(record)[0]))
        return is_taken

    def can_take(self) -> bool:
        return True

    def may_wait(self) -> bool:
        return False


class _Lowered:
    """
    The level of a logger that blocks have lowered. Blocks of several threads may end in any order:
    the last one restores the level.
    """

    _all: dict[logging.Logger, _Lowered] = {}  # noqa: RUF012  # shared on purpose
    _lock = threading.Lock()

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._before = logger.level
        self._users = 0

    @classmethod
    def lower(cls, logger: logging.Logger, level: int) -> _Lowered:
        with cls._lock:
            lowered = cls._all.setdefault(logger, cls(logger))
            lowered._users += 1
            if logger.getEffectiveLevel() > level:
                logger.setLevel(level)
            return lowered

    def restore(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                del self._all[self._logger]
                self._logger.setLevel(self._before)


def _described(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in row.items() if name not in _NOT_SHOWN)
