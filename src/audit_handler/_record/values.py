"""Read the value of one column: numbers, addresses, outcomes, UUIDs."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from enum import Enum
from ipaddress import ip_address
from typing import Any

from audit_handler._record.times import Times
from audit_handler.schema import COLUMNS, Kind

__all__ = ["Addresses", "Reader", "column_readers", "text_of_member"]

Reader = Callable[[Any], Any]
"""
Returns a value as its column stores it. Returns None or raises any exception if the column cannot
hold the value.
"""

# Enough for the clients of one moment. Without the limit, a scan of the address space would fill
# the memory.
_KNOWN_ADDRESSES_LIMIT = 4096
# Characters; a hundred forwarded addresses.
_LONGEST_ADDRESSES = 4096

_HOST_AND_PORT = re.compile(r"\[([^\[\]]+)\](?::\d{1,5})?|([\d.]+):\d{1,5}", re.ASCII)


class Addresses:
    """Finds the address in a text, and remembers it. Safe to call from several threads."""

    def __init__(self) -> None:
        self.known: dict[str, str | None] = {}
        """The addresses in the texts that were read before; None where there is none."""

    def read(self, value: Any) -> str | None:
        """
        Return the address of a client: without brackets, port and zone, and of a list of forwarded
        addresses the first one. None if there is no address.

        Args:
            value: Text, an address, or a socket's ``(host, port)``.
        """
        if type(value) is str:
            text = value
        elif isinstance(value, tuple | list) and len(value) > 1 and type(value[1]) is int:
            text = str(value[0])
        else:
            text = str(value)
        if text in self.known:
            return self.known[text]
        found = _address_in(text) if len(text) < _LONGEST_ADDRESSES else None
        if len(self.known) < _KNOWN_ADDRESSES_LIMIT and len(text) < 64:
            self.known[text] = found
        return found


def _address_in(text: str) -> str | None:
    first = text.partition(",")[0].strip()
    if parts := _HOST_AND_PORT.fullmatch(first):
        first = parts[1] or parts[2]
    first = first.partition("%")[0]
    try:
        ip_address(first)
    except ValueError:
        return None
    return first


def column_readers(times: Times, addresses: Addresses) -> Mapping[str, Reader]:
    """Return the readers of the columns that accept only some values, by column."""
    readers: Mapping[Kind, Reader] = {
        Kind.UINT16: lambda value: _whole_number(value, 0xFFFF),
        Kind.UINT32: lambda value: _whole_number(value, 0xFFFFFFFF),
        Kind.IP: addresses.read,
        Kind.OUTCOME: _outcome,
        Kind.UUID: lambda value: str(value if type(value) is uuid.UUID else uuid.UUID(value)),
        Kind.TIME: times.read,
    }
    return {name: readers[kind] for name, kind in COLUMNS.items() if kind in readers}


def text_of_member(member: Enum, column: str) -> Any:
    """
    Return what a text *column* stores of a *member*: its value if that is text or the column holds
    ids, else its name, because the number that ``auto()`` gave means nothing to a reader.
    """
    value = member.value
    # On Python 3.10, a combination of flags has no name.
    return value if isinstance(value, str) or column.endswith("_id") else member.name or value


def _outcome(value: Any) -> str | None:
    text = str(text_of_member(value, "outcome") if isinstance(value, Enum) else value).lower()
    return text if text in ("success", "failure", "unknown") else None


def _whole_number(value: Any, high: int) -> int | None:
    if type(value) is int:
        return value if 0 <= value <= high else None
    if type(value) is bool:
        return None
    if isinstance(value, Enum):
        value = value.value
        # grpc.StatusCode.NOT_FOUND is (5, "not found").
        return _whole_number(value[0] if isinstance(value, tuple) else value, high)
    number = int(value) if isinstance(value, str) else value
    # Compared before it is rounded, because rounding Decimal("1e999999") takes a minute.
    return round(number) if -1 < number < high + 1 and 0 <= round(number) <= high else None
