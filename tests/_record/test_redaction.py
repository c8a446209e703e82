"""Secrets are taken out wherever they stand; whatever else comes in comes out as plain JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import time
import uuid
from collections import ChainMap, OrderedDict, deque, namedtuple
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_handler._record.redaction import DEFAULT_KEYS, REDACTED, Redactor

redactor = Redactor()
clean = redactor.clean
clean_text = redactor.clean_text

SECRET = "hunter2"

# Names of keys


@pytest.mark.parametrize("key", DEFAULT_KEYS)
def test_the_value_of_a_default_key_is_redacted(key: str) -> None:
    assert {key: REDACTED} == clean({key: SECRET})


@pytest.mark.parametrize(
    "key",
    [
        "PASSWORD",
        "newPassword",
        "user_password_2",
        "X-Api-Key",
        "api.key",
        "api key",
        "credit_card",
        "privateKey",
        "PRIVATE--KEY",
        "access_token",
        "csrfmiddlewaretoken",
        "client-secret",
        "SSN",
        "userSsn",
        "patientssn",
        "Proxy-Authorization",
        "Set-Cookie",
        "user[password]",
        b"authorization",
    ],
)
def test_a_key_is_secret_in_any_case_and_with_any_separators(key: Any) -> None:
    assert [REDACTED] == list(clean({key: SECRET}).values())


@pytest.mark.parametrize(
    "key",
    ["pass", "name", "businessName", "class_name", "key", "monkey", "card", "author", 5, None],
)
def test_an_innocent_key_keeps_its_value(key: Any) -> None:
    assert ["v"] == list(clean({key: "v"}).values())


def test_further_keys_are_redacted_beside_the_default_ones() -> None:
    more = Redactor(["IBAN", "pin"])

    assert {"iban": REDACTED, "PIN_code": REDACTED, "password": REDACTED} == more.clean(
        {"iban": SECRET, "PIN_code": SECRET, "password": SECRET}
    )


def test_the_default_keys_can_be_switched_off() -> None:
    only = Redactor(["iban"], use_default_keys=False)

    assert {"iban": REDACTED, "password": "p"} == only.clean({"iban": SECRET, "password": "p"})


def test_without_any_keys_nothing_is_redacted() -> None:
    none = Redactor(use_default_keys=False)

    assert ({"password": "p"}, "password=p") == (
        none.clean({"password": "p"}),
        none.clean_text("password=p"),
    )


def test_a_key_of_signs_alone_means_these_signs() -> None:
    assert {"__": REDACTED, "ab": "v"} == Redactor(["__"]).clean({"__": SECRET, "ab": "v"})


def test_random_keys_do_not_fill_the_memory() -> None:
    hostile = Redactor(max_nodes=20_000)
    hostile.clean({f"key{number}": 1 for number in range(10_000)})

    assert len(hostile._verdicts) <= 4096


def _oracle(value: Any) -> Any:
    """Redact in the simplest way that can be: by the whole list of names, one key at a time."""
    if isinstance(value, dict):
        return {
            key: REDACTED
            if any(
                part.replace("_", "").replace("-", "") in key.lower().replace("_", "")
                for part in DEFAULT_KEYS
            )
            else _oracle(item)
            for key, item in value.items()
        }
    return [_oracle(item) for item in value] if isinstance(value, list) else value


KEYS = st.one_of(
    st.sampled_from([*DEFAULT_KEYS, "id", "user", "Pass_Word", "myTokens", "a_p_i_k_e_y", "tok"]),
    st.text("abcdeknopt_", max_size=8),
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text("abc é\"'\\,&;", max_size=8), st.floats(0, 1)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        # Pairs in lists are taken for headers, and have tests of their own.
        st.lists(inner, max_size=4).map(lambda items: [*items, 0] if len(items) == 2 else items),
        st.dictionaries(KEYS, inner, max_size=4),
    ),
    max_leaves=20,
)


@given(TREES)
def test_a_tree_is_redacted_as_the_simplest_code_does_it(tree: Any) -> None:
    assert _oracle(tree) == clean(tree)


@given(TREES)
def test_json_text_is_redacted_as_the_tree_it_holds(tree: Any) -> None:
    text = json.dumps({"password": SECRET, "tree": tree})

    assert {"password": REDACTED, "tree": _oracle(tree)} == json.loads(clean_text(text))


# Where secrets hide


@pytest.mark.parametrize(
    "hidden",
    [
        {"a": {"b": [{"password": SECRET}]}},
        {"password": {"a": [SECRET]}},
        [("authorization", SECRET)],
        [(b"authorization", SECRET.encode())],
        [["authorization", SECRET]],
        {"headers": [{"name": "Authorization", "value": SECRET}]},
        {"headers": [{"value": SECRET, "key": "x-api-key"}]},
        {"Headers": [{"Name": "Authorization", "Values": [SECRET]}]},
        {"name": "password", "value": "x", "Value": SECRET},
        {"Name": "password", "name": "login", "value": SECRET},
        [{"op": "replace", "path": "/password", "value": SECRET}],
        {"changes": [{"field": "password", "old": SECRET, "new": f"{SECRET}2"}]},
        {"detail": [{"loc": ["body", "password"], "msg": "too short", "input": SECRET}]},
        {"body": json.dumps({"password": SECRET})},
        {"body": json.dumps({"password": SECRET}).encode()},
        {"body": bytearray(b"password=hunter2")},
        {"body": json.dumps({"inner": json.dumps({"inner": json.dumps({"token": SECRET})})})},
        {"url": f"https://example.org/?token={SECRET}"},
        [f"https://bob:{SECRET}@example.org/"],
        deque([{"password": SECRET}]),
        {"password": SECRET}.items(),
        {"a": {"password": SECRET}}.values(),
        SimpleNamespace(password=SECRET),
        ChainMap({"password": SECRET}),
        MappingProxyType({"password": SECRET}),
        OrderedDict(password=SECRET),
        namedtuple("Login", "password")(SECRET),
        ValueError(f"no login with password={SECRET}"),
        PurePosixPath(f"/reset/token={SECRET}"),
    ],
    ids=lambda hidden: type(hidden).__name__,
)
def test_a_secret_in_an_object_is_found(hidden: Any) -> None:
    assert SECRET not in json.dumps(clean(hidden))


TEXTS = {
    "form": f"user=bob&password={SECRET}&x=1",
    "form of nested names": f"user[password]={SECRET}",
    "form of nested names, encoded": f"{quote('user[password]')}={SECRET}",
    "form, value with signs": urlencode({"password": f"({SECRET},x;y)", "user": "bob"}),
    "query": f"/login?token={SECRET}#top",
    "query within a query": f"/login?next={quote(f'/a?password={SECRET}&b=1', safe='')}&x=1",
    "query within that": f"/l?n={quote(quote(f'/a?password={SECRET}', safe=''), safe='')}",
    "json in a query": f"/a?filter={quote(json.dumps({'password': SECRET}))}",
    "json, broken": f'{{"user": "bob", "password": "{SECRET}", "x',
    "json, cut within the secret": f'{{"user": "bob", "password": "{SECRET}',
    "json, cut behind a listed name": f'[{{"name": "password", "value" : "{SECRET}"}}, {{"na',
    "json, cut, of a refused field": f'[{{"loc":["body","password"],"msg":"a","input":"{SECRET}',
    "pydantic": f"Login\npassword\n  too short [type=a, input_value='{SECRET}', input_type=str]",
    "json, a text in it": json.dumps(json.dumps({"name": "password", "value": SECRET})),
    "json, cut behind a backslash": f'{{"user": "bob", "password": "{SECRET}\\',
    "json, secret with quotes": f'{{"password": "a\\"{SECRET}", "x',
    "json, list": f'{{"tokens": ["a", "{SECRET}"], "x',
    "json, object": f'{{"secret": {{"a": {{"b": 1}}, "c": "{SECRET}"}}, "x',
    "json, lines of it": f'{{"a": 1}}\n{{"password": "{SECRET}"}}\n',
    "json, a string": json.dumps(json.dumps({"password": SECRET})),
    "json, a string in one": json.dumps(json.dumps(json.dumps({"password": SECRET}))),
    "json, NaN": f'{{"a": NaN, "password": "{SECRET}"}}',
    "json, pairs": json.dumps([["Authorization", SECRET]]),
    "json, behind a guard": f')]}}\',\n{{"password":"{SECRET}"}}',
    "repr": repr({"user": "bob", "password": SECRET, "x": [1]}),
    "repr, quotes": repr({"password": f"\"'{SECRET}"}),
    "repr, bytes": repr({b"password": SECRET.encode()}),
    "repr, list": repr({"tokens": [["a"], SECRET]}),
    "repr, object": f"{{'token': Token(value='{SECRET}')}}",
    "repr, pairs": repr([(b"authorization", SECRET.encode())]),
    "ruby": f'{{:user=>"bob", "password"=>"{SECRET}"}}',
    "call": f"login(user='bob', password='{SECRET}')",
    "message": f"login of bob, password: {SECRET}.",
    "message, two words": f"the api key: {SECRET}",
    "message, comparison": f"password == {SECRET}",
    "yaml": f"user: bob\npassword: {SECRET}\n",
    "bearer": f"token: Bearer {SECRET}",
    "header": f"Host: x\r\nAuthorization: Bearer {SECRET}\r\n",
    "header, any scheme": f"Authorization: AWS4 Credential=a, Signature={SECRET}",
    "header, digest": f'Authorization: Digest username="bob", response="{SECRET}"',
    "header, cookies": f"Cookie: theme=dark; sid={SECRET}",
    "header, a cookie in quotes": f'Cookie: theme="dark"; sid={SECRET}',
    "shell": f"curl -H 'Cookie: a=b; sid={SECRET}' https://example.org",
    "url": f"cannot connect to postgres://bob:{SECRET}@db:5432/app",
    "url, password with @": f"postgres://bob:x@{SECRET}@db",
    "xml": f"<login><password>{SECRET}</password></login>",
    "xml, namespace": f'<s:Password Type="text">{SECRET}</s:Password>',
    "xml, cdata": f"<password><![CDATA[{SECRET}]]></password>",
    "multipart": (
        '--b\r\nContent-Disposition: form-data; name="password"\r\n\r\n'
        f'{SECRET}\r\n--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b--'
    ),
    "multipart, typed": (
        '--b\r\nContent-Disposition: form-data; name="api_key"\r\nContent-Type: text/plain\r\n\r\n'
        f"a\r\n{SECRET}\r\n--b--"
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_secret_in_a_text_is_found(name: str) -> None:
    text = clean_text(TEXTS[name])

    assert (False, True) == (SECRET in text, "***" in text)


def test_a_secret_that_json_overwrites_with_a_later_key_is_gone() -> None:
    assert '{"a":1}' == clean_text(f'{{"a": {{"password": "{SECRET}"}}, "a": 1}}')


def test_what_stands_around_a_secret_in_a_form_stays() -> None:
    assert f"user=bob&password={REDACTED}&x=1" == clean_text(TEXTS["form"])


def test_what_stands_around_a_secret_in_a_message_stays() -> None:
    text = clean_text("login(token=abc, user=bob) failed: password: 'x' is wrong")

    assert f"login(token={REDACTED}, user=bob) failed: password: {REDACTED} is wrong" == text


def test_what_stands_behind_a_number_in_broken_json_stays() -> None:
    assert f'{{"token":{REDACTED},"user":"bob","x' == clean_text('{"token":123,"user":"bob","x')


def test_what_stands_behind_a_header_stays() -> None:
    text = clean_text("Cookie: a=b; c=d\r\nHost: example.org")

    assert f"Cookie: {REDACTED}\r\nHost: example.org" == text


def test_parts_of_other_names_stay_in_a_multipart_body() -> None:
    assert clean_text(TEXTS["multipart"]).endswith('name="x"\r\n\r\n1\r\n--b--')


@pytest.mark.parametrize(
    "text",
    [
        "",
        "password",
        "the password expired",
        "wrong password, try again: later",
        "password=",
        "password=&user=bob",
        "user=bob",
        "businessName=Acme",
        "https://example.org:8443/a@b",
        '{"a": 1,  "b": "x:y"}',
        "<b>1</b>",
    ],
)
def test_text_without_a_secret_is_left_alone(text: str) -> None:
    assert text == clean_text(text)


def test_numbers_of_any_size_survive_in_json_text() -> None:
    text = f'{{"token":"x","big":{10**30},"small":1.5}}'

    assert {"token": REDACTED, "big": 10**30, "small": 1.5} == json.loads(clean_text(text))


WRAPPERS: list[Callable[[str], Any]] = [
    lambda secret: {"password": secret},
    lambda secret: {"a": [{"Api-Key": [secret, {"b": secret}]}]},
    lambda secret: [("authorization", secret)],
    lambda secret: [[b"cookie", secret.encode()]],
    lambda secret: json.dumps({"a": [{"secret": secret}]}),
    lambda secret: {"body": json.dumps({"secret": secret})},
    lambda secret: json.dumps({"secret": secret, "b": 1})[:-3],
    lambda secret: urlencode({"a": 1, "token": secret, "b": 2}),
    lambda secret: f"/x?a=1&{urlencode({'user[password]': secret})}&b=2",
    lambda secret: quote(json.dumps({"secret": secret})),
    lambda secret: repr({"secret": secret}),
    lambda secret: repr([("secret", secret)]),
    lambda secret: json.dumps(json.dumps({"secret": secret})),
]


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20).map(
        lambda text: f"hun{text}ter2"
    ),
    st.sampled_from(WRAPPERS),
)
def test_no_secret_of_any_characters_gets_through(secret: str, wrap: Callable[[str], Any]) -> None:
    cleaned = json.dumps(clean(wrap(secret)))

    assert [] == [piece for piece in ("hun", "ter2") if piece in cleaned]


# Time

HOSTILE = [
    "=",
    '"',
    "'",
    "\\",
    " ",
    "[",
    "password",
    "password ",
    "password=",
    "password='",
    'password="',
    'password=\\"',
    "password=[",
    "p_a_s_s_w_o_r_d",
    "p_",
    "token-",
    "token\\",
    "token:\n",
    "cookie:",
    "Cookie: a=b; ",
    "%25",
    "%22password%22",
    "token%3",
    "a://",
    "a://b:",
    "a://b:c@",
    "<token",
    "<token ",
    "<token>",
    "<token><![CDATA[",
    'name="token" ',
    'name="token"\n',
    'name="token"\n\n',
    '{"token":',
    "('token', ",
    "a",
]


@pytest.mark.parametrize("head", ["", "token=[", 'token="', "://a:"])
@pytest.mark.parametrize("unit", HOSTILE)
def test_a_hostile_text_takes_no_longer_than_its_length_allows(unit: str, head: str) -> None:
    """The first patterns took 43 s for 8 KB of ``p_a_s_s_w_o_r_d``, and the logger call waits."""
    text = head + unit * (65_536 // len(unit)) + " token=x @ </"

    started = time.process_time()
    clean_text(text)

    # Each takes 60 ms at most; quadratic ones took minutes.
    assert time.process_time() - started < 2


def test_a_text_of_10_mb_with_a_secret_is_cut_and_says_so() -> None:
    text = clean_text("password=x " + "a=b " * 2_500_000)

    assert (True, f"password={REDACTED} a=b") == (
        text.endswith("<cut: 10000011 characters>") and len(text) < 1_100_000,
        text[:27],
    )


# What JSON cannot say


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
