"""
Compile the patterns of `Suspects` for `_call.c`, which runs them on texts of ASCII.

The patterns stay where they are; this module only translates them. A program finds whatever its
pattern finds, and may suspect more: `_call.c` asks `Suspects` about each text that it suspects.

Five characters in a row must be those at the beginning of a part of the pattern before a program
runs, so that nearly all places of a text cost one look into a table.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, product
from struct import pack
from typing import Any

__all__ = ["Program", "program_of"]

# Operations, as in `_call.c`.
_SET, _SPLIT, _JUMP, _MATCH, _END, _BOUNDARY, _LOOP = range(7)

_IGNORECASE = re.IGNORECASE.value
_ASCII = 128
_ALL = (1 << _ASCII) - 1
# `_call.c` puts these behind a text, where no control character is.
_END_OF_TEXT = 1 << 0
# Characters have a code of five bits, those that make little difference the same.
_CODES = 32
_WITH_SAME_CODE = (
    *"abcdefghiklmnoprstuvwy",
    *("jqxz", "0123456789", '"', "_-", ".", ",", ":", "{[", "\0"),
)
_CODE_OF_OTHERS = 31
# So many in a row lead to the parts of a program, and are looked for at so many places of a part.
_GRAM = 3
_PLACES = 3
# Steps of a program, and what its lists refer to: their numbers have 16 bits.
_MOST_NUMBERS = 60_000
# A repetition of more is one without a limit: it finds more.
_MOST_REPEATS = 64


class _Unknown(Exception):
    """The pattern has a part that this module does not know."""


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled pattern: tables of bytes, whose forms `_call.c` describes."""

    fold: bytes
    """The code of each of 256 bytes."""
    places: bytes
    """
    For three codes in a row, as the first times 1024, the second times 32 and the third: bits that
    tell whether they may be at the beginning of a part, one character later, or two.
    """
    lists: bytes
    """For three codes in a row, where in *parts* the list of those that begin so is; 16 bits."""
    parts: bytes
    """
    Lists with their length first, each of its parts with four numbers of 16 bits: step, how many
    characters are before it, and the sets of the first and the fourth character.
    """
    steps: bytes
    """
    Operation, two arguments, and the sets with which its one and its other way may begin: 16 bits
    each.
    """
    sets: bytes
    """Sets of ASCII, 16 bytes each."""


@cache
def program_of(*patterns: str) -> Program | None:
    """Return the program of *patterns*, or None if one of them has a part that is not known."""
    if not patterns:
        return None
    try:
        return _Compiler().program(patterns)
    except (_Unknown, re.error, RecursionError, ImportError, AttributeError):
        # The parser of `re` is private, too. Without a program Python encodes.
        return None


def _fold() -> bytes:
    codes = bytearray([_CODE_OF_OTHERS] * 256)
    for code, characters in enumerate(_WITH_SAME_CODE):
        for character in characters + characters.upper():
            codes[ord(character)] = code
    return bytes(codes)


_FOLD = _fold()
# The characters of each code, as a set.
_WITH_CODE = [
    sum(1 << character for character in range(_ASCII) if _FOLD[character] == code)
    for code in range(_CODES)
]


def _set_of(text: str) -> int:
    return sum(1 << ord(character) for character in text)


_DIGITS = _set_of("0123456789")
_SPACES = _set_of("\t\n\v\f\r ")
_UPPER = _set_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LOWER = _UPPER << 32
_WORDS = _UPPER | _LOWER | _DIGITS | _set_of("_")
_CATEGORIES = {
    "CATEGORY_DIGIT": _DIGITS,
    "CATEGORY_NOT_DIGIT": _ALL & ~_DIGITS,
    "CATEGORY_SPACE": _SPACES,
    "CATEGORY_NOT_SPACE": _ALL & ~_SPACES,
    "CATEGORY_WORD": _WORDS,
    "CATEGORY_NOT_WORD": _ALL & ~_WORDS,
}
# `_call.c` puts a quote before each text: what may stand at its beginning, or behind such a sign.
_BEFORE = 1 << ord('"')


def _parsed(pattern: str) -> Any:
    """Return the tree that the parser of `re` makes of a pattern for Rust."""
    if sys.version_info >= (3, 11):
        from re import _parser as parser  # type: ignore[attr-defined]
    else:
        import sre_parse as parser
    # Rust's boundary of words of ASCII is that of any text here.
    return parser.parse(pattern.replace(r"(?-u:\b)", r"\b"))


class _Compiler:
    """Makes one program."""

    def __init__(self) -> None:
        self._steps: list[list[int]] = []
        self._sets: dict[int, int] = {}

    def program(self, patterns: tuple[str, ...]) -> Program:
        beginnings = []
        for pattern in patterns:
            tree = _parsed(pattern)
            beginnings.append(len(self._steps))
            self._sequence(tree, bool(tree.state.flags & _IGNORECASE), is_first=True)
            self._add(_MATCH)
        if len(self._steps) >= _MOST_NUMBERS:
            raise _Unknown("too long")
        places, lists, parts = self._tables(beginnings)
        self._guard()
        return Program(
            fold=_FOLD,
            places=places,
            lists=lists,
            parts=parts,
            steps=b"".join(pack("=5H", *step) for step in self._steps),
            sets=b"".join(members.to_bytes(16, "little") for members in self._sets),
        )

    # The steps

    def _add(self, operation: int, first: int = 0, second: int = 0) -> int:
        self._steps.append([operation, first, second, 0, 0])
        return len(self._steps) - 1

    def _sequence(self, tree: Any, ignores_case: bool, is_first: bool = False) -> None:
        for index, part in enumerate(tree):
            self._part(part, ignores_case, is_first and not index)

    def _part(self, part: Any, ignores_case: bool, is_first: bool) -> None:
        operation, argument = str(part[0]), part[1]
        if operation in ("LITERAL", "NOT_LITERAL", "IN", "ANY"):
            self._add(_SET, self._number(self._members(operation, argument, ignores_case)))
        elif operation == "BRANCH":
            self._branch(argument[1], ignores_case, is_first)
        elif operation == "SUBPATTERN":
            _, added, removed, tree = argument
            ignores_case = (ignores_case or bool(added & _IGNORECASE)) and not removed & _IGNORECASE
            self._sequence(tree, ignores_case, is_first)
        elif operation in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, tree = argument
            self._repeat(int(least), int(most), tree, ignores_case)
        elif operation == "AT":
            self._position(str(argument))
        else:
            raise _Unknown(operation)

    def _position(self, name: str) -> None:
        if name == "AT_END":
            self._add(_END)
        elif name == "AT_BOUNDARY":
            self._add(_BOUNDARY)
        else:
            raise _Unknown(name)

    def _branch(self, trees: list[Any], ignores_case: bool, is_first: bool) -> None:
        # What may stand at the beginning of a text stands behind a quote here, once.
        begins = [tree for tree in trees if [str(p[1]) for p in tree] == ["AT_BEGINNING"]]
        others = [tree for tree in trees if tree not in begins]
        admits = any(self._admits_quote(tree, ignores_case) for tree in others)
        if begins and not (is_first and admits):
            raise _Unknown("AT_BEGINNING")
        jumps = []
        for index, tree in enumerate(others):
            if index + 1 < len(others):
                split = self._add(_SPLIT)
                self._steps[split][1] = len(self._steps)
                self._sequence(tree, ignores_case, is_first)
                jumps.append(self._add(_JUMP))
                self._steps[split][2] = len(self._steps)
            else:
                self._sequence(tree, ignores_case, is_first)
        for jump in jumps:
            self._steps[jump][1] = len(self._steps)

    def _admits_quote(self, tree: Any, ignores_case: bool) -> bool:
        if len(tree) != 1 or str(tree[0][0]) not in ("IN", "NOT_LITERAL", "ANY"):
            return False
        return bool(self._members(str(tree[0][0]), tree[0][1], ignores_case) & _BEFORE)

    def _repeat(self, least: int, most: int, tree: Any, ignores_case: bool) -> None:
        if least > _MOST_REPEATS:
            least, most = _MOST_REPEATS, most + 1
        for _ in range(least):
            self._sequence(tree, ignores_case)
        if most - least > _MOST_REPEATS:
            if len(tree) == 1 and str(tree[0][0]) in ("LITERAL", "NOT_LITERAL", "IN", "ANY"):
                members = self._members(str(tree[0][0]), tree[0][1], ignores_case)
                loop = self._add(_LOOP, self._number(members))
                self._steps[loop][2] = len(self._steps)
                return
            split = self._add(_SPLIT)
            self._steps[split][1] = len(self._steps)
            self._sequence(tree, ignores_case)
            self._add(_JUMP, split)
            self._steps[split][2] = len(self._steps)
            return
        splits = []
        for _ in range(most - least):
            splits.append(self._add(_SPLIT))
            self._steps[splits[-1]][1] = len(self._steps)
            self._sequence(tree, ignores_case)
        for split in splits:
            self._steps[split][2] = len(self._steps)

    def _members(self, operation: str, argument: Any, ignores_case: bool) -> int:
        """Return the set of ASCII that one part of the tree stands for."""
        if operation == "ANY":
            return _ALL & ~_set_of("\n")
        if operation in ("LITERAL", "NOT_LITERAL"):
            members = 1 << argument if argument < _ASCII else 0
            is_negated = operation == "NOT_LITERAL"
        else:
            members, is_negated = 0, False
            for kind, value in argument:
                name = str(kind)
                if name == "NEGATE":
                    is_negated = True
                elif name == "LITERAL":
                    members |= 1 << value if value < _ASCII else 0
                elif name == "RANGE":
                    for character in range(value[0], min(value[1] + 1, _ASCII)):
                        members |= 1 << character
                elif name == "CATEGORY":
                    members |= _CATEGORIES[str(value)]
                else:
                    raise _Unknown(name)
        if ignores_case:
            # In ASCII a letter's two cases are 32 apart.
            members |= (members & _UPPER) << 32 | (members & _LOWER) >> 32
        return _ALL & ~members if is_negated else members

    def _guard(self) -> None:
        """Add to each split the sets of characters that its two ways may begin with."""
        sets = list(self._sets)
        begins = [_ALL] * len(self._steps)
        for index in reversed(range(len(self._steps))):
            operation, first, second, *_ = step = self._steps[index]
            if operation == _SET:
                begins[index] = sets[first]
            elif operation == _SPLIT:
                begins[index] = begins[first] | begins[second]
                step[3:] = self._number(begins[first]), self._number(begins[second])
            elif operation == _END:
                # Where the text goes on, nothing.
                begins[index] = 0
            elif operation == _BOUNDARY:
                begins[index] = begins[index + 1]
            elif operation == _LOOP:
                begins[index] = sets[first] | begins[second]
                step[4] = self._number(begins[second])
            elif operation == _JUMP:
                # One that leads back reads something before; it may be anything.
                begins[index] = begins[first] if first > index else _ALL

    # The tables

    def _tables(self, beginnings: list[int]) -> tuple[bytes, bytes, bytes]:
        self._members_by_number = list(self._sets)
        self._known: dict[int, list[tuple[int, int]]] = {}
        self._known_entries: dict[int, list[tuple[int, int]]] = {}
        self._known_pairs: dict[int, set[tuple[int, int]]] = {}
        starts = [pair for beginning in beginnings for pair in self._reached(beginning)]
        if any(self._steps[step][0] not in (_SET, _LOOP) for step, _ in starts):
            raise _Unknown("finds a text without anything in it")
        found: dict[int, dict[tuple[int, int, int, int], None]] = {}
        for masks, part in self._parts(starts):
            for gram in _grams_of(masks):
                found.setdefault(gram, {})[part] = None
        known: dict[tuple[tuple[int, int, int, int], ...], int] = {}
        numbers = [0]
        lists = [0] * _CODES**_GRAM
        for gram, parts in found.items():
            key = tuple(parts)
            if key not in known:
                known[key] = len(numbers)
                numbers += [len(key), *chain.from_iterable(key)]
            lists[gram] = known[key]
        if len(numbers) >= _MOST_NUMBERS:
            raise _Unknown("begins with nearly anything")
        return (
            self._places(starts),
            pack(f"={len(lists)}H", *lists),
            pack(f"={len(numbers)}H", *numbers),
        )

    def _parts(
        self, starts: list[tuple[int, int]]
    ) -> Iterator[tuple[tuple[int, ...], tuple[int, int, int, int]]]:
        """Yield the codes of the first three characters of each part, and its four numbers."""
        for start, first in starts:
            for second_step, second in self._following(start):
                for third_step, third in self._following(second_step):
                    fourth = 0
                    for _, members in self._following(third_step):
                        fourth |= members
                    yield (
                        (_codes_in(first), _codes_in(second), _codes_in(third)),
                        (second_step, 1, self._number(first), self._number(fourth)),
                    )

    def _places(self, starts: list[tuple[int, int]]) -> bytes:
        """Return where in a part each three characters may be."""
        places = bytearray(_CODES**_GRAM)
        level = dict(starts)
        for place in range(_PLACES):
            grams = {
                (_codes_in(first), *pair)
                for step, first in level.items()
                for pair in self._pairs_after(step)
            }
            for gram in {gram for masks in grams for gram in _grams_of(masks)}:
                places[gram] |= 1 << place
            level = dict(pair for step in level for pair in self._following(step))
        return bytes(places)

    def _number(self, members: int) -> int:
        return self._sets.setdefault(members, len(self._sets))

    def _following(self, step: int) -> list[tuple[int, int]]:
        """Return what may come after *step* has read a character, as `_reached` does."""
        if step not in self._known:
            operation = self._steps[step][0]
            if operation == _END:
                self._known[step] = [(step, _END_OF_TEXT)]
            elif operation == _MATCH:
                self._known[step] = [(step, _ALL)]
            else:
                entry = self._entry_after(step)
                if entry not in self._known_entries:
                    self._known_entries[entry] = list(self._reached(entry))
                self._known[step] = self._known_entries[entry]
        return self._known[step]

    def _entry_after(self, step: int) -> int:
        """Return where a program goes on after *step*; parts with one end have that in common."""
        # A loop may read one more.
        entry = step if self._steps[step][0] == _LOOP else step + 1
        while self._steps[entry][0] == _JUMP:
            entry = self._steps[entry][1]
        return entry

    def _pairs_after(self, step: int) -> set[tuple[int, int]]:
        """Return the codes of two characters that may come after *step* has read one."""
        key = step if self._steps[step][0] in (_END, _MATCH) else self._entry_after(step)
        if key not in self._known_pairs:
            self._known_pairs[key] = {
                (_codes_in(second), _codes_in(third))
                for second_step, second in self._following(step)
                for _, third in self._following(second_step)
            }
        return self._known_pairs[key]

    def _reached(self, step: int) -> Iterator[tuple[int, int]]:
        """
        Yield the steps that are reached from *step* and read a character, or are an end, each with
        the characters that may be there.
        """
        seen: set[int] = set()
        left = [step]
        while left:
            step = left.pop()
            if step in seen:
                continue
            seen.add(step)
            operation, first, second, *_ = self._steps[step]
            if operation in (_SET, _LOOP):
                if members := self._members_by_number[first]:
                    yield step, members
                if operation == _LOOP:
                    left.append(second)
            elif operation == _SPLIT:
                left += (second, first)
            elif operation == _JUMP:
                left.append(first)
            elif operation == _BOUNDARY:
                left.append(step + 1)
            else:
                yield step, _END_OF_TEXT if operation == _END else _ALL


@cache
def _codes_in(members: int) -> int:
    """Return the codes of the characters in a set, as a set of bits."""
    return sum(1 << code for code in range(_CODES) if members & _WITH_CODE[code])


@cache
def _listed(codes: int) -> list[int]:
    return [code for code in range(_CODES) if codes >> code & 1]


def _grams_of(masks: tuple[int, ...]) -> Iterator[int]:
    """Yield the number of each three codes in a row that are in these sets."""
    for first, second, third in product(*map(_listed, masks)):
        yield (first * _CODES + second) * _CODES + third
