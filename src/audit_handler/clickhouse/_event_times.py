"""
The time of each row, for a column that would take its text for another moment.

Rows hold UTC without a zone, which ClickHouse reads fastest. A column reads it in its own zone, or,
if it has none, in that of the server or of the user's profile. Unix seconds are the same in every
zone, in every version, and with every `date_time_input_format`.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone

__all__ = ["EventTimes"]

# The start of each row of NDJSON, as this package writes it.
_TIME = re.compile(
    rb'^(\{"writer_id":"[^"]*","seq":\d+,"event_time":")'
    rb"(\d{4}-\d\d-\d\d \d\d:\d\d):(\d\d)(\.\d+)?",
    re.MULTILINE,
)
_READS_UTC = re.compile(r"DateTime64\(\d, '(?:Etc/)?UTC'\)")
_IS_TIME = re.compile(r"(?:Nullable\(|LowCardinality\()*DateTime(64)?\b")


class EventTimes:
    """
    Writes times so that a column stores their moment.

    Args:
        column_type: The column's type, or "" if it is not known.
    """

    def __init__(self, column_type: str) -> None:
        found = None if _READS_UTC.search(column_type) else _IS_TIME.match(column_type)
        self._is_other = found is not None
        # A DateTime holds whole seconds, and refuses a fraction of Unix seconds.
        self._has_fraction = found is not None and found[1] is not None

    def written(self, lines: bytes) -> bytes:
        """Return *lines* as the column reads them; the same object if it reads UTC, or no time."""
        if not self._is_other:
            return lines
        minutes: dict[bytes, int] = {}

        def unix(found: re.Match[bytes]) -> bytes:
            start, minute, second, fraction = found.groups(b"")
            if minute not in minutes:
                try:
                    moment = datetime.fromisoformat(minute.decode()).replace(tzinfo=timezone.utc)
                except ValueError:  # An edited file that is replayed: ClickHouse rejects the row.
                    return found[0]
                minutes[minute] = int(moment.timestamp())
            # Ten digits: `best_effort` takes eight for a day.
            seconds = b"%010d" % (minutes[minute] + int(second))
            return start + seconds + (fraction if self._has_fraction else b"")

        return _TIME.sub(unix, lines)
