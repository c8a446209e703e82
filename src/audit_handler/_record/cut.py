"""Cut the values of a row until the row fits its limit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from audit_handler._record.plain import Raw, encode, encode_plain
from audit_handler.schema import COLUMNS

__all__ = ["RowCutter"]

# If all columns are cut to this size, they fit the smallest row, even with every character escaped.
_MIN_CUT = 64


class RowCutter:
    """
    Cuts long values. Stateless, so one instance serves all threads.

    Args:
        max_value_bytes: The most UTF-8 bytes of a value.
        max_row_bytes: The most bytes of an encoded row.
    """

    def __init__(self, max_value_bytes: int, max_row_bytes: int) -> None:
        self.uncut_bytes = min(max_value_bytes, max_row_bytes)
        """A row of at most this size has no value to cut."""
        self._max_row_bytes = max_row_bytes
        # The sizes to which all values are cut, one size after the other, until the row fits.
        self._limits = [max_value_bytes]
        while self._limits[-1] > _MIN_CUT:
            self._limits.append(max(_MIN_CUT, self._limits[-1] // 8))

    def cut(self, line: bytes) -> bytes:
        """
        Return the row *line* with its long values cut.

        ``metadata._truncated`` lists the cut values with their sizes.
        """
        row = json.loads(line)
        for limit in self._limits:
            line = _encode_cut(row, limit)
            if len(line) <= self._max_row_bytes:
                return line
        # More extras than a row can hold: only those that fit in metadata are kept.
        return _encode_cut({name: row[name] for name in row if name in COLUMNS}, _MIN_CUT)


def _encode_cut(row: Mapping[str, Any], limit: int) -> bytes:
    """Encode *row* with each value cut to *limit* bytes; *metadata* lists the cut values."""
    out: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    for name, value in row.items():
        if name == "metadata":
            continue
        encoded = value.encode() if type(value) is str else encode(value)
        if len(encoded) > limit:
            sizes[name] = len(encoded)
            out[name] = encoded[:limit].decode("utf-8", "ignore")
        else:
            out[name] = value if type(value) is str else Raw(encoded)
    metadata = row.get("metadata", {})
    if metadata or sizes:
        out["metadata"] = Raw(_encode_metadata(metadata, sizes, limit))
    return encode_plain(out)


def _encode_metadata(metadata: Mapping[str, Any], sizes: Mapping[str, int], limit: int) -> bytes:
    """
    Encode *metadata* as a JSON object of about *limit* bytes at most, with the *sizes* of the cut
    values.
    """
    encoded = encode({**metadata, "_truncated": sizes} if sizes else metadata)
    if len(encoded) <= limit:
        return encoded
    # It remains an object: small values are kept whole; the next one is cut to the text that fits.
    kept: dict[str, Any] = {}
    all_sizes = dict(sizes)
    bytes_left = limit
    pairs = [(name, value, encode(value)) for name, value in metadata.items()]
    for name, value, text in sorted(pairs, key=lambda pair: len(pair[0]) + len(pair[2])):
        bytes_left -= len(encode(name)) + 2
        if len(text) <= bytes_left:
            kept[name] = value
            bytes_left -= len(text)
        else:
            all_sizes[f"metadata.{name}"] = len(text)
            if bytes_left > 0:
                # Half, because its quotes and backslashes are escaped again.
                kept[name] = text[: bytes_left // 2].decode("utf-8", "ignore")
                bytes_left = 0
    if len(encode(all_sizes)) > limit:
        all_sizes = {"values": len(all_sizes)}
    return encode({**kept, "_truncated": all_sizes})
