"""Values that break the code that reads them."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any


class Hostile:
    """Raises for every attribute and every conversion."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")

    __repr__ = __str__


def endless() -> dict[str, Any]:
    loop: dict[str, Any] = {"list": []}
    loop["list"].append(loop)
    return loop


def deep() -> list[Any]:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    return nested


HOSTILE_VALUES: dict[str, Any] = {
    "nothing": "",
    "text of ten million letters": "y" * 10_000_000,
    "control characters": "".join(map(chr, range(32))) + "\x7f\u2028\u2029\ufeff",
    "a lone high surrogate": "a\ud800b",
    "a lone low surrogate": "a\udfffb",
    "all planes": "\U0010ffff\U0001f600\u0000",
    "a text subclass": type("Text", (str,), {"__str__": lambda _: 1 / 0})("x"),
    "a dict subclass": type("Dict", (dict,), {"items": lambda _: 1 / 0})(a=1),
    "a mapping that raises": type(
        "M", (), {"keys": lambda _: 1 / 0, "__iter__": lambda _: 1 / 0}
    )(),
    "an object that raises": Hostile(),
    "a class": Hostile,
    "a huge integer": 10**5_000,
    "a small integer": -(2**63) - 1,
    "no number": float("nan"),
    "infinity": float("-inf"),
    "a decimal": decimal.Decimal("1e999999"),
    "true": True,
    "bytes": bytes(range(256)),
    "a date": datetime.datetime(1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=23))),
    "an id": uuid.UUID(int=2**128 - 1),
    "itself": endless(),
    "depth": deep(),
    "width": {str(number): number for number in range(50_100)},  # more than are kept
    "strange keys": {None: 1, 1.5: 2, (1, 2): 3, "": 4, "a\ud800": 5, b"k": 6},
    "a set": {1, "a", None},
    "a generator": (number for number in range(3)),
    "a forged line": 'x"}\n{"seq":1}',
}
