"""
Copy any object into plain values: exact dicts, lists, tuples, text, numbers, booleans and None.

Nearly all logged values are plain already, and are encoded unchanged. `is_plain` first makes two
checks, in C and one level at a time, because the encoder does not make them: that the object
contains no foreign types (the encoder has its own form for some types, and runs foreign code for
others, while another thread may change the object), and that its size is bounded (a few shared
lists can unfold to billions of values).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence, Set, ValuesView
from enum import Enum
from gc import get_referents
from itertools import islice
from math import isfinite
from typing import Any

import orjson

__all__ = [
    "ATOMS",
    "CUT_MARKS",
    "MAX_NODES",
    "Raw",
    "Unencodable",
    "encode",
    "encode_plain",
    "is_plain",
    "plain",
    "printable",
]

ATOMS = frozenset({int, float, bool, type(None)})
"""The plain types that are neither text nor containers."""

Unencodable = orjson.JSONEncodeError
"""Raised by `encode_plain`: a lone surrogate, a key that is not text, an integer over 64 bits."""

encode_plain = orjson.dumps
"""
Return the compact JSON of a plain value, in C.

orjson, because it is the fastest, accepts only text as a key, and rejects integers that it would
have to round.
"""

Raw = orjson.Fragment
"""Encoded JSON inside a value, which `encode_plain` copies unchanged."""

_CONTAINERS = frozenset({dict, list, tuple})
_PLAIN = ATOMS | _CONTAINERS | {str}
# Without anything in them, and all of their values plain.
_FLAT = frozenset({str, int, bool, type(None)})

MAX_NODES = 50_000
"""Values of one object before the rest is cut: about ten times the values of a large body."""

# Deeper than any body that people write or ORMs produce; the interpreter's limit is 1,000 frames.
_MAX_DEPTH = 64

CUT_MARKS = ("<cut: too many values>", f"<cut: deeper than {_MAX_DEPTH}>")
"""Texts that replace the values that `plain` leaves out."""

# Up to this many containers of one level are unfolded without counting their values first.
_FEW = 100


def is_plain(values: Sequence[Any], max_nodes: int) -> bool:
    """
    Return whether each of *values* is plain, has only finite numbers, and would not be cut by
    `plain`.

    True also for keys that are not text: the encoder rejects them. May be False for objects of
    nearly *max_nodes* values.
    """
    level = values
    for _ in range(_MAX_DEPTH + 1):
        kinds = set(map(type, level))
        if not kinds <= _PLAIN or len(level) > max_nodes:
            return False
        if kinds <= _FLAT:
            return True
        if float in kinds and not all(isfinite(value) for value in level if type(value) is float):
            return False
        max_nodes -= len(level)
        if len(level) > _FEW and max_nodes < sum(
            len(value) for value in level if type(value) in _CONTAINERS
        ):
            return False
        # The referents of a dict are its values, and its keys too if some key is not text.
        level = get_referents(*level)
    return False


def plain(value: Any, max_nodes: int = MAX_NODES) -> Any:
    """
    Return a plain copy of any object: dicts with text keys, lists, text, numbers, booleans, None.

    Never raises, even if the object's code does: a text in angle brackets replaces a value that
    cannot be read. Values beyond *max_nodes* are cut.
    """
    return _Walk(max_nodes).visit(value, 0)


def encode(value: Any) -> bytes:
    """Return the compact JSON of *value*, a copy that `plain` made."""
    try:
        return encode_plain(value)
    except Unencodable:
        return encode_plain(printable(value))


def printable(value: Any) -> Any:
    """
    Return a copy of *value*, which `plain` made, with a readable form of each part that no encoder
    accepts.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {printable(key): printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [printable(item) for item in value]
    if isinstance(value, int) and value.bit_length() > 63:
        # Python writes at most 4,300 decimal digits; hexadecimal has no such limit.
        return Raw(str(value)) if value.bit_length() <= 4096 else hex(value)
    return value


def text_of(value: Any) -> str:
    """Return *value* as exact str; bytes that are not UTF-8 keep their values as ``\\xNN``."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    try:
        return str.__str__(str(value))
    except Exception as exc:  # noqa: BLE001  # a foreign __str__
        return f"<unreadable {type(value).__name__}: {type(exc).__name__}>"


class _Walk:
    """One pass over one object."""

    __slots__ = ("_nodes_left", "_parents")

    def __init__(self, max_nodes: int) -> None:
        self._nodes_left = max_nodes
        self._parents: set[int] = set()

    def visit(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is float:
            return value if isfinite(value) else str(value)
        if kind is str or kind in ATOMS:
            return value
        if depth >= _MAX_DEPTH:
            return CUT_MARKS[1]
        identity = id(value)
        if identity in self._parents:
            return "<cut: contains itself>"
        self._parents.add(identity)
        try:
            if kind is dict:
                return self._mapping(value.items(), depth)
            if kind is list or kind is tuple:
                return self._sequence(value, depth)
            return self._foreign(value, depth)
        except Exception as exc:  # noqa: BLE001  # foreign code runs here: any property or __str__ may raise
            return f"<unreadable {kind.__name__}: {type(exc).__name__}>"
        finally:
            self._parents.discard(identity)

    def _mapping(self, items: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        # Copied in one step, because another thread may be changing the original.
        pairs = list(islice(items, self._nodes_left))
        self._nodes_left -= len(pairs)
        copy = {text_of(key): self.visit(value, depth + 1) for key, value in pairs}
        if not self._nodes_left:
            copy["<cut>"] = CUT_MARKS[0]
        return copy

    def _sequence(self, values: Iterable[Any], depth: int) -> list[Any]:
        values = list(islice(values, self._nodes_left))
        self._nodes_left -= len(values)
        copy = [self.visit(value, depth + 1) for value in values]
        if not self._nodes_left:
            copy.append(CUT_MARKS[0])
        return copy

    def _foreign(self, value: Any, depth: int) -> Any:
        # 1. Subclasses of plain types may override methods, so the methods of the plain type are
        # used.
        if isinstance(value, Enum):
            return self.visit(value.value, depth + 1)
        if isinstance(value, str | bytes | bytearray | memoryview):
            return text_of(value)
        if isinstance(value, int):
            return int.__int__(value)
        if isinstance(value, float):
            return self.visit(float.__float__(value), depth + 1)
        if isinstance(value, dict):
            return self._mapping(dict.items(value), depth)
        # 2. Objects with named fields. A class has these methods too, but no fields.
        if not isinstance(value, type):
            if hasattr(value, "_asdict"):
                return self._mapping(value._asdict().items(), depth)
            if hasattr(value, "model_dump"):
                return self.visit(value.model_dump(), depth + 1)
            names = _field_names(value)
            if names:
                return self._mapping([(name, getattr(value, name)) for name in names], depth)
        # 3. Containers. Iterators are not read, because the application would miss the items.
        if isinstance(value, Mapping):
            return self._mapping(value.items(), depth)
        if isinstance(value, Sequence | Set | ValuesView):
            return self._sequence(value, depth)
        # 4. Everything else (dates, UUIDs, decimals, paths, models) as its text.
        return str.__str__(str(value))


def _field_names(value: Any) -> Sequence[str]:
    """Return the names of the fields of a dataclass, a msgspec struct or an attrs class."""
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    return getattr(type(value), "__struct_fields__", None) or [
        attribute.name for attribute in getattr(type(value), "__attrs_attrs__", ())
    ]
