"""Any object becomes plain: dicts, lists, text and numbers; nothing that it does costs the row."""

from __future__ import annotations

import dataclasses
import json
import math
import uuid
from collections import namedtuple
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from audit_handler._record.redaction import REDACTED, Redactor

redactor = Redactor()
clean = redactor.clean
clean_text = redactor.clean_text

SECRET = "hunter2"


class Colour(Enum):
    RED = ({"password": SECRET},)


class Level(IntEnum):
    HIGH = 3


class Text(str):
    def __str__(self) -> str:
        raise ValueError


class Number(int):
    def __int__(self) -> int:
        raise ValueError


class Ratio(float):
    def __float__(self) -> float:
        raise ValueError


class Dict(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        raise ValueError


@dataclasses.dataclass
class Login:
    user: str
    password: str


class AttrsLogin:
    """As attrs makes them: fields in slots, their list in a class attribute."""

    __slots__ = ("password", "user")
    __attrs_attrs__ = (SimpleNamespace(name="user"), SimpleNamespace(name="password"))

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self.password = password


class StructLogin(msgspec.Struct):
    user: str
    password: str


class ModelLogin:
    def model_dump(self) -> dict[str, str]:
        return {"user": "bob", "password": SECRET}


TupleLogin = namedtuple("TupleLogin", "user password")


LOGINS = [
    Login("bob", SECRET),
    AttrsLogin("bob", SECRET),
    StructLogin("bob", SECRET),
    ModelLogin(),
    TupleLogin("bob", SECRET),
    Dict(user="bob", password=SECRET),
]


@pytest.mark.parametrize("login", LOGINS, ids=lambda login: type(login).__name__)
def test_an_object_with_named_fields_is_cleaned_field_by_field(login: Any) -> None:
    assert {"user": "bob", "password": REDACTED} == clean(login)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, "nan"),
        (math.inf, "inf"),
        (1.5, 1.5),
        (True, True),
        (None, None),
        (10**400, 10**400),
        (b"a\xffb", "a\\xffb"),
        (bytearray(b"ab"), "ab"),
        (memoryview(b"ab"), "ab"),
        (Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (date(2026, 11, 23), "2026-11-23"),
        (Level.HIGH, 3),
        (Colour.RED, [{"password": REDACTED}]),
        (Text("ab"), "ab"),
        (Number(5), 5),
        (Ratio(1.5), 1.5),
        (Ratio("nan"), "nan"),
        ((1, (2,)), [1, [2]]),
        ({3}, [3]),
        (range(3), [0, 1, 2]),
        (Login, f"<class '{__name__}.Login'>"),
        ({1: "a", None: "b", (2, 3): "c"}, {"1": "a", "None": "b", "(2, 3)": "c"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_foreign_value_becomes_plain(value: Any, expected: Any) -> None:
    assert expected == clean(value)


@pytest.mark.parametrize("value", [Text("a"), Number(1), Ratio(1.5)], ids=repr)
def test_a_subclass_of_a_plain_type_becomes_the_plain_type(value: Any) -> None:
    assert type(value).__mro__[1] is type(clean(value))


def _raising(method: str) -> Any:
    def fail(*_: Any) -> Any:
        raise RuntimeError("password=hunter2")

    bases: tuple[type, ...] = (Mapping,) if method in ("items", "keys") else (object,)
    body = {"__getitem__": fail, "__len__": fail, "__iter__": fail, method: fail}
    return type(f"Raising_{method.strip('_')}", bases, body)()


@pytest.mark.parametrize(
    "value",
    [
        _raising("__str__"),
        _raising("__repr__"),
        _raising("keys"),
        _raising("items"),
        _raising("_asdict"),
        _raising("model_dump"),
        type("RaisingGetattr", (), {"__getattr__": lambda *_: 1 / 0})(),
        type("RaisingIter", (list,), {"__iter__": lambda _: 1 / 0})(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_object_that_raises_is_named_and_its_neighbours_stay(value: Any) -> None:
    cleaned = clean([value, "neighbour"])

    assert (f"<unreadable {type(value).__name__}: ", "neighbour") == (
        cleaned[0][: len(type(value).__name__) + 14],
        cleaned[1],
    )


def test_a_key_that_raises_is_named() -> None:
    assert {"<unreadable Raising_str: RuntimeError>": 1} == clean({_raising("__str__"): 1})


def test_a_cycle_is_cut_where_it_closes() -> None:
    cycle: dict[str, Any] = {"a": 1}
    cycle["self"] = [cycle]

    assert {"a": 1, "self": ["<cut: contains itself>"]} == clean(cycle)


def test_an_object_that_stands_in_two_places_is_no_cycle() -> None:
    shared = {"a": 1}

    assert [{"a": 1}, {"a": 1}] == clean([shared, shared])


def test_endless_depth_is_cut() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    assert "[" * 64 + '"<cut: deeper than 64>"' + "]" * 64 == json.dumps(clean(deep))


def test_an_object_that_unfolds_for_ever_is_cut() -> None:
    class Endless:
        def model_dump(self) -> Any:
            return [Endless(), Endless()]

    assert len(json.dumps(Redactor(max_nodes=100).clean(Endless()))) < 20_000


def test_too_many_values_are_cut_and_the_cut_is_marked() -> None:
    cleaned = Redactor(max_nodes=10).clean({"a": [0] * 100, "b": 1})

    assert {
        "a": [*[0] * 8, "<cut: too many values>"],
        "b": 1,
        "<cut>": "<cut: too many values>",
    } == cleaned


def test_a_dict_of_too_many_keys_is_cut_and_the_cut_is_marked() -> None:
    cleaned = Redactor(max_nodes=2).clean({"a": 1, "b": 2, "c": 3})

    assert {"a": 1, "b": 2, "<cut>": "<cut: too many values>"} == cleaned


def test_a_generator_is_not_consumed() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    generator = numbers()
    clean({"a": generator})

    assert [1] == list(generator)


def test_the_copy_does_not_follow_the_original() -> None:
    original = {"a": [1, {"b": 2}]}
    copy = clean(original)

    original["a"].append(3)
    original["a"][1]["b"] = 4  # type: ignore[index]

    assert {"a": [1, {"b": 2}]} == copy


def test_an_interrupt_is_not_swallowed() -> None:
    class Interrupting:
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clean(Interrupting())
