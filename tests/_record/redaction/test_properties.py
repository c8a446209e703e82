"""Planted secrets never come out, innocents come out as they went in, and twice is as once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_handler._record.plain import encode
from audit_handler._record.redaction import REDACTED, Redactor
from tests.support.redaction_cases import REDACT_KEYS, Case, innocents, secrets

# The same examples in each run; the first pays for patterns.
steady = settings(max_examples=300, derandomize=True, deadline=None)

redactor = Redactor(REDACT_KEYS)
clean = redactor.clean
clean_text = redactor.clean_text

# What is planted: the two ends are looked for, whatever stands between them.

ENDS = ("hun", "ter2")
NAMES = st.builds(
    lambda before, noun, after, change: change(f"{before}{noun}{after}"),
    st.sampled_from(["", "user_", "X-", "db.", "new-"]),
    st.sampled_from(["password", "api_key", "token", "client-secret", "pwd", "passphrase"]),
    st.sampled_from(["", "_value", "2", "-new", "_text_2"]),
    st.sampled_from([str, str.upper, str.title]),
)
ANY = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
LINE = st.text("abXY019 é+/=_.~!*-", max_size=12).map(lambda text: text.strip() or "x")
WORD = st.text("abXY019_-.~", max_size=12)


def _between_ends(text: str) -> str:
    return text.join(ENDS)


def _sql(text: str) -> str:
    return text.replace("'", "''")


ANYWHERE: dict[str, Callable[[str, str], Any]] = {
    "a value": lambda name, secret: {name: secret},
    "a number of values": lambda name, secret: {name: [secret, {"b": secret}]},
    "a nested value": lambda name, secret: {"a": [{"b": {name: secret}}]},
    "bytes": lambda name, secret: {name.encode(): secret.encode()},
    "a pair": lambda name, secret: [(name, secret)],
    "two values": lambda name, secret: [[name, secret, f"{secret}2"]],
    "beside a label": lambda name, secret: {"name": name, "value": secret},
    "two beside a label": lambda name, secret: {"field": name, "old": secret, "new": secret},
    "JSON": lambda name, secret: json.dumps({"a": [{name: secret}]}),
    "JSON, in UTF-8": lambda name, secret: json.dumps({name: secret}, ensure_ascii=False),
    "JSON in JSON": lambda name, secret: json.dumps({"b": json.dumps({name: secret})}),
    "JSON in JSON in JSON": lambda name, secret: {
        "a": json.dumps({"b": json.dumps({"c": json.dumps({name: secret})})})
    },
    "JSON, a string": lambda name, secret: json.dumps(json.dumps({name: secret})),
    "JSON, cut": lambda name, secret: json.dumps({name: secret, "b": 1})[:-3],
    "JSON in a query": lambda name, secret: f"/a?f={quote(json.dumps({name: secret}))}",
    "a form": lambda name, secret: urlencode({"a": 1, name: secret, "b": 2}),
    "a form of nested names": lambda name, secret: urlencode({f"user[{name}]": secret, "b": 2}),
    "repr": lambda name, secret: repr({name: secret}),
    "repr of pairs": lambda name, secret: repr([(name, secret)]),
    "the name of a key": lambda name, secret: {urlencode({name: secret}): 1},
}
IN_LINES: dict[str, Callable[[str, str], Any]] = {
    "a header": lambda _, secret: f"Host: x\r\nAuthorization: Bearer {secret}\r\nAccept: y",
    "cookies": lambda _, secret: f"Cookie: theme=dark; sid={secret}",
    "YAML": lambda name, secret: f'a: b\n{name}: "{secret}"\nc: d\n',
    "YAML, a block": lambda name, secret: f"{name}: |\n  {secret}\n  {secret}\nc: d\n",
    "XML": lambda name, secret: f"<a><{name}>{secret}</{name}></a>",
    "XML, CDATA": lambda name, secret: f"<a><{name}><![CDATA[{secret}]]></{name}></a>",
    "XML, an attribute": lambda name, secret: f'<a {name}="{secret}"/>',
    "XML, a parameter": lambda name, secret: f'<param name="{name}">{secret}</param>',
    "multipart": lambda name, secret: (
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{secret}\r\n--b--'
    ),
    "CSV": lambda name, secret: f"id,{name},user\n1,{secret},ann\n2,{secret},bob\n",
    "SQL": lambda _, secret: f"ALTER USER ann IDENTIFIED BY '{_sql(secret)}' ACCOUNT UNLOCK",
    "SQL, a role": lambda _, secret: f"CREATE ROLE ann WITH LOGIN PASSWORD '{_sql(secret)}'",
    "SQL, a column": lambda _, secret: (
        f"INSERT INTO users (name, password) VALUES ('ann', '{_sql(secret)}')"
    ),
    "a command line": lambda name, secret: f'run --{name} "{secret}" --verbose',
    "a list of arguments": lambda name, secret: ["run", f"--{name}", secret, "--verbose"],
}
IN_WORDS: dict[str, Callable[[str, str], Any]] = {
    "a message": lambda name, secret: f"login failed: {name}={secret} (and so on)",
    "a call": lambda name, secret: f"login(user=ann, {name}={secret})",
    "a command line": lambda name, secret: f"run --{name} {secret} --verbose",
    "curl": lambda _, secret: f"curl -u ann:{secret} https://shop.example/",
    "mysql": lambda _, secret: f"mysql -h db -p{secret} shop",
    "a URL": lambda _, secret: f"cannot connect to postgres://app:{secret}@db:5432/shop",
    "a query": lambda name, secret: f"GET /a?x=1&{name}={secret}&y=2",
    "a query within a query": lambda name, secret: (
        f"/a?next={quote(quote(f'/b?{name}={secret}', safe=''), safe='')}&y=2"
    ),
    "GitHub": lambda _, secret: f"pushed with ghp_{secret.encode().hex():x<36}",
}


def _readable(value: Any) -> list[str]:
    shown = json.dumps(value, ensure_ascii=False)
    return [end for end in (*ENDS, *(end.encode().hex() for end in ENDS)) if end in shown]


@pytest.mark.parametrize("place", ANYWHERE)
@given(name=NAMES, secret=ANY.map(_between_ends))
@settings(steady, max_examples=40)
def test_a_secret_of_any_characters_does_not_come_out(place: str, name: str, secret: str) -> None:
    assert [] == _readable(clean(ANYWHERE[place](name, secret)))


@pytest.mark.parametrize("place", IN_LINES)
@given(name=NAMES, secret=LINE.map(_between_ends))
@settings(steady, max_examples=40)
def test_a_secret_of_one_line_does_not_come_out(place: str, name: str, secret: str) -> None:
    assert [] == _readable(clean(IN_LINES[place](name, secret)))


@pytest.mark.parametrize("place", IN_WORDS)
@given(name=NAMES, secret=WORD.map(_between_ends))
@settings(steady, max_examples=40)
def test_a_secret_of_one_word_does_not_come_out(place: str, name: str, secret: str) -> None:
    assert [] == _readable(clean(IN_WORDS[place](name, secret)))


# What has no secret

PLAIN_NAMES = st.sampled_from(["id", "user", "token_type", "passwordResetRequired", "items", "n"])
PLAIN_TEXTS = st.text("abc é\"\\'/,.()", max_size=10)
NUMBERS = st.sampled_from(["0", "-0.0", "1.10", "1e5", "1E+400", "12345678901234567890", "0.1e-9"])
SPACES = st.sampled_from(["", " ", "\n  ", "\t"])


@st.composite
def json_texts(draw: st.DrawFn) -> str:
    """Draw a JSON text with odd numbers, spaces, and names that occur twice."""

    def value(depth: int) -> str:
        kind = draw(st.integers(0, 5 if depth < 3 else 3))
        if kind == 0:
            return draw(NUMBERS)
        if kind == 1:
            return json.dumps(draw(PLAIN_TEXTS), ensure_ascii=draw(st.booleans()))
        if kind < 4:
            return draw(st.sampled_from(["null", "true", "false", '""', "[]", "{}"]))
        items = [value(depth + 1) for _ in range(draw(st.integers(0, 3)))]
        space = draw(SPACES)
        if kind == 4:
            return f"[{space}{f'{space},'.join(items)}{space}]"
        pairs = [f"{json.dumps(draw(PLAIN_NAMES))}{space}:{space}{item}" for item in items]
        return f"{{{space}{f',{space}'.join([*pairs, *pairs[:1]])}{space}}}"

    return value(0)


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | PLAIN_TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN_NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(TREES)
@steady
def test_an_innocent_tree_is_encoded_unchanged(tree: Any) -> None:
    assert encode(tree) == redactor.encode(tree)
    assert json.loads(encode(tree)) == clean(tree)


@given(json_texts())
@steady
def test_an_innocent_json_text_comes_out_byte_for_byte(text: str) -> None:
    """It was compacted once: ``1.10`` became ``1.1``, and a name that came twice came once."""
    assert text == clean_text(text)
    assert {"body": text} == clean({"body": text})


@given(json_texts())
@steady
def test_what_stands_beside_a_secret_in_a_json_text_stays(text: str) -> None:
    around = '{"password":  "%s",\n "a" :' + text.replace("%", "%%") + "}"

    assert around % REDACTED == clean_text(around % "hunter2")
    assert f"got {around % REDACTED}!" == clean_text(f"got {around % 'hunter2'}!")


# What redaction does to its own work, and the quick way to the same result

CASES = [*secrets(), *innocents()]


def _value(case: Case) -> Any:
    return {"message": case.what} if isinstance(case.what, str) else case.what


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_second_redaction_changes_nothing_in_a_made_up_case(case: Case) -> None:
    once = clean(_value(case))

    assert once == clean(once)
    assert encode(once) == redactor.encode(once)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_made_up_case_is_encoded_as_it_is_cleaned(case: Case) -> None:
    value = _value(case)
    inner = {"body": json.dumps(value)}

    assert orjson.dumps(clean(value)) == redactor.encode(value)
    assert orjson.dumps(clean(inner)) == redactor.encode(inner)


@pytest.mark.parametrize("place", [*ANYWHERE, *IN_LINES, *IN_WORDS])
@given(name=NAMES, secret=WORD.map(_between_ends), around=st.sampled_from(["", "a ", "a\n", "\t"]))
@settings(steady, max_examples=40)
def test_a_planted_secret_is_encoded_as_it_is_cleaned_once_or_twice(
    place: str, name: str, secret: str, around: str
) -> None:
    value = {**IN_WORDS, **IN_LINES, **ANYWHERE}[place](name, secret)
    value = {"x": f"{around}{value}" if isinstance(value, str) else value}
    once = clean(value)

    assert orjson.dumps(once) == redactor.encode(value)
    assert once == clean(once)
