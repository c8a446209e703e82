"""Records for the comparison of C and Python: ordinary ones, hostile ones, and what is between."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from random import Random
from types import MappingProxyType
from typing import Any

from audit_handler.context import Placeholder
from audit_handler.schema import COLUMNS, Kind
from tests.support import redaction_cases
from tests.support.hostile import HOSTILE_VALUES
from tests.support.records import NOW

__all__ = ["Drawn", "case_records", "drawn", "texts"]

# Names that mean something to the encoder or the redaction, and ordinary ones.
_NAMES = (
    *(
        "order",
        "sku",
        "count",
        "Content-Type",
        "X-Request-ID",
        "zone",
        "a b",
        "\u00e9tat",
        "",
        "k" * 90,
    ),
    *("password", "Authorization", "token", "api_key", "pin", "db_pwd", "tokens", "cookie", "card"),
    *(
        "key",
        "value",
        "name",
        "code",
        "kty",
        "type",
        "kind",
        "columns",
        "auth",
        "old",
        "new",
        "path",
    ),
)
_EXTRAS = (*COLUMNS, "zone", "tenant", "password", "_invalid", "_truncated", "taskName", "asctime")
_ORDINARY = tuple(
    name
    for name in (*COLUMNS, "zone", "tenant")
    if COLUMNS.get(name) not in (Kind.RECORD, Kind.SERVER, Kind.UUID, Kind.TIME)
)
_WORDS = (
    *("", "ok", "paid", "Ada Lovelace", "2001:db8::1", "10.0.0.1", "success", "failure", "POST"),
    *(
        "/api/v1/orders/o-17/pay?page=2",
        "hunter2hunter2",
        "Bearer abcdefgh12345678",
        "true",
        "null",
    ),
    *("4111 1111 1111 1111", "https://u:pw1234@h/", "password=hunter2", "secret", "x" * 300, "-u"),
    *(
        "\u041f\u0440\u0438\u0432\u0435\u0442",
        "na\u00efve \u2603",
        "\ud800",
        'a"b\\c\n\t\x00\x7f',
        "\x1b[1mINFO\x1b[0m",
    ),
    *(
        '{"password": "hunter2"}',
        "sk-proj-abcdefghijklmnopqrstuvwx",
        "mysql -psecret1",
        "s.e",
        "***",
    ),
    *("123e4567-e89b-12d3-a456-426614174000", "99999999999999999999", "eyJhbGciOi.eyJzdWIi", "%41"),
)
_NUMBERS = (
    *(0, 1, -1, 16, 200, 404, 65535, 65536, 2**32, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**70),
    *(0.0, -0.0, 1.5, 129.99, 1e-3, 1e-4, 1e15, 1e16, 1e300, 5e-324, float("nan"), float("inf")),
    *(True, False, None),
)

# Without those that only take long.
_HOSTILE = tuple(
    value
    for name, value in HOSTILE_VALUES.items()
    if name not in ("text of ten million letters", "depth", "width")
)


class Drawn(dict[str, Any]):
    """A dict of a foreign type."""


def texts(random: Random) -> str:
    """Return a text: a known one, one of letters of some alphabet, or two with a sign between."""
    kind = random.randrange(8)
    if kind < 4:
        return random.choice(_WORDS)
    if kind < 6:
        alphabet = random.choice(
            ("ab1_-", "abcdefghijklmnopqrstuvwxyz ", "\"\\\n'{}:,", "0123456789")
        )
        return "".join(random.choices(alphabet, k=random.randrange(40)))
    if kind == 6:
        return "".join(map(chr, random.choices(range(1, 0x250), k=random.randrange(20))))
    return texts(random) + random.choice(("", " ", "=", ": ", '"', "\n")) + texts(random)


def values(random: Random, level: int = 0, oddness: float = 1.0) -> Any:
    """Return a value: mostly plain; with some oddness, also of a type that no encoder knows."""
    kind = random.randrange(24 if random.random() < oddness else 20)
    if kind < 10 or level > 5:
        return texts(random) if random.random() < oddness else random.choice(_WORDS[:10])
    if kind < 13:
        return random.choice(_NUMBERS if random.random() < oddness else _NUMBERS[:10])
    if kind < 18:
        return {
            random.choice(_NAMES): values(random, level + 1, oddness)
            for _ in range(random.randrange(6))
        }
    if kind < 20:
        return [values(random, level + 1, oddness) for _ in range(random.randrange(5))]
    if kind == 20:
        return tuple(values(random, level + 1, oddness) for _ in range(random.randrange(4)))
    if kind == 21:
        return random.choice(
            (
                uuid.UUID(int=random.getrandbits(128)),
                NOW,
                Placeholder("-"),
                b"\xff",
                {1: 2},
                Drawn(a=1),
            )
        )
    if kind == 22:
        nested: Any = "deep"
        for _ in range(random.randrange(80)):
            nested = [nested] if random.random() < 0.5 else {"k": nested}
        return nested
    return random.choice(_HOSTILE)


def _extra(random: Random, name: str, oddness: float) -> Any:
    """Return a value for a column: one that it may have, or with some oddness another one."""
    if random.random() < oddness:
        return values(random, 0, oddness)
    if name in ("status_code", "response_time_ms"):
        return random.choice(_NUMBERS[:10])
    if name == "ip_address":
        return random.choice(("10.0.0.1", "::1", "10.0.0.1:80", "1.2.3.4, 5.6.7.8", "host"))
    if name == "metadata":
        return {
            random.choice(_NAMES): values(random, 2, oddness) for _ in range(random.randrange(4))
        }
    if name.endswith(("_body", "_headers", "_value")):
        return {
            random.choice(_NAMES): values(random, 1, oddness) for _ in range(random.randrange(8))
        }
    return texts(random) if random.random() < oddness else random.choice(_WORDS[:10])


def drawn(seed: int) -> tuple[logging.LogRecord, Any]:
    """Return a record, and the fields that are bound while it is encoded."""
    random = Random(seed)
    oddness = random.choice((0.0, 0.02, 0.1, 0.5))
    record = logging.LogRecord("app", logging.INFO, "app.py", 1, "done", (), None)
    record.created = NOW.timestamp() + random.randrange(3) + random.random()
    kind = random.randrange(12)
    if kind > 8:
        record.msg = texts(random)
    elif kind == 0:
        record.msg, record.args = "%s is %d", (texts(random), 3)
    elif kind == 1:
        record.msg, record.args = "%s of %s", (values(random), values(random))
    elif kind == 2:
        record.msg, record.args = random.choice(("100%", "%d", "%(a)s")), (texts(random),)
    elif kind == 3:
        record.created = random.choice((0.0, -1.0, 1e12, 5, NOW.timestamp() - 1e8, float("nan")))
    elif kind == 4:
        record.levelname, record.name = texts(random), texts(random)
    elif kind == 5:
        record.exc_text = random.choice(("Traceback", "", None))
    pool = _EXTRAS if random.random() < oddness else _ORDINARY
    names = random.sample(pool, random.randrange(12))
    record.__dict__.update({name: _extra(random, name, oddness) for name in names})
    if random.randrange(40) == 0:
        del record.__dict__[random.choice(("process", "threadName", "lineno"))]
    if random.randrange(30) == 0:
        record.__dict__["_redact_except"] = ("password",)
    bound: Any = {}
    if random.randrange(3) == 0:
        bound = {
            name: _extra(random, name, oddness)
            for name in random.sample((*pool, "message", "name", "args"), random.randrange(4))
        }
        if random.random() < 0.8:
            bound = MappingProxyType(bound)
    return record, bound


def case_records() -> Iterator[logging.LogRecord]:
    """Yield a record of each case of the redaction, as a message or as extras."""
    for case in (*redaction_cases.secrets(), *redaction_cases.innocents()):
        record = logging.LogRecord("app", logging.INFO, "app.py", 1, "done", (), None)
        record.created = datetime(2026, 11, 23, tzinfo=timezone.utc).timestamp()
        if isinstance(case.what, str):
            record.msg = case.what
        else:
            record.__dict__.update(case.what)
        yield record
