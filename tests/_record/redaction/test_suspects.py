"""The quick search finds every text in which the slow rules find something, and few others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_handler._record.plain import encode
from audit_handler._record.redaction import Redactor
from audit_handler._record.redaction.names import NOUNS, TAILS, SecretNames
from audit_handler._record.redaction.options import Options
from audit_handler._record.redaction.suspects import Suspects
from audit_handler._record.redaction.text import SecretsInText
from audit_handler._record.redaction.vendors import PREFIXED, UNPREFIXED
from tests.support.redaction_cases import Case, innocents, secrets

steady = settings(
    max_examples=500,
    derandomize=True,
    deadline=None,  # the first example pays for the patterns
    suppress_health_check=[HealthCheck.large_base_example, HealthCheck.data_too_large],
)

names = SecretNames()
redact = SecretsInText(names, Options(names)).redact
suspects = Suspects(names, (), use_rules=True)
may_be_in = suspects.may_be_in


def is_overlooked(text: str) -> bool:
    return redact(text) != text and not may_be_in(text)


def texts_of(value: Any) -> Iterator[str]:
    """Yield the texts in *value*, and some that hold them."""
    if isinstance(value, str):
        yield value
        return
    yield json.dumps(value)
    yield json.dumps(value, ensure_ascii=False)
    yield repr(value)
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from (text for each in texts_of(item) for text in (each, f"{name}={each}"))
    elif isinstance(value, list):
        yield from (text for item in value for text in texts_of(item))


@pytest.mark.parametrize("case", [*secrets(), *innocents()], ids=str)
def test_no_text_of_a_made_up_case_is_overlooked(case: Case) -> None:
    assert [] == [text for text in texts_of(case.what) if is_overlooked(text)]


PATTERNS = [
    *(re.escape(prefix) + rest for _, prefixes, rest in PREFIXED for prefix in prefixes.split()),
    *(whole for _, _, whole in UNPREFIXED),
]
AROUND = ["{}", "x {} y", '"{}"', "a={}&b", "/{}/", "é{}", "\n{}\n", "<a>{}</a>", "_{}"]


@pytest.mark.parametrize("pattern", PATTERNS)
@given(data=st.data())
@settings(steady, max_examples=5)
def test_no_token_of_a_vendor_is_overlooked(pattern: str, data: st.DataObject) -> None:
    token = data.draw(st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True))
    texts = [around.format(token) for around in AROUND]

    assert token not in redact(token)
    assert [] == [text for text in texts if is_overlooked(text)]


NAMES = st.builds(
    lambda before, noun, sign, plural, tail, change: change(
        before + noun.replace("-", sign) + plural + (sign + tail if tail else "")
    ),
    st.sampled_from(["", "", "my", "my_", "user.", "--", "-", "x-", "user["]),
    st.sampled_from(sorted(noun for nouns in NOUNS.values() for noun in nouns.split())),
    st.sampled_from(["_", "-", "", " ", "."]),
    st.sampled_from(["", "", "s"]),
    st.sampled_from(["", *sorted(TAILS), "2", "12"]),
    st.sampled_from([str, str, str.upper, str.title, str.capitalize]),
)
SIGNS = [
    *("=", ":", ": ", " = ", "->", "=>", ":=", '":"', '\\":\\"', "' => '", '", "', ">", "|", "\n"),
    *(",", " ", "\t", " is ", " was ", " from ", " to ", "](", "]=", ") = ", "\u0000", "%3D"),
    *("&#61;", "&quot;:&quot;", "\\u003a", "\uff1a", " IDENTIFIED BY ", ":\n  - ", ": |\n  "),
]
VALUES = st.sampled_from(
    ["hunter22", "Zx9 q", '"a b"', "'x1'", "1234567", "[1,2]", "{a}", "b'x'", "Bearer a1b2c3d4e5"]
)


@given(
    st.sampled_from(["", "a ", '{"', "'", "<", "?", "&", "a=b; ", "1,2\n", "ü", "SET "]),
    NAMES,
    st.sampled_from(SIGNS),
    VALUES,
    st.sampled_from(["", '"', "'", ">", "</a>", "&x=1", "]", "\nx"]),
)
@settings(steady, max_examples=1500)
def test_no_name_before_a_value_is_overlooked(
    before: str, name: str, sign: str, value: str, after: str
) -> None:
    assert not is_overlooked(f"{before}{name}{sign}{value}{after}")


PIECES = [
    *("mysql", "docker login", "sshpass", "curl", "redis-cli", "net user", "kubectl", "az login"),
    *("-p", "-u ", "-a ", "--user ", "-P", "ann", "hunter22", "ann:hunter22", " ", " ", "=", ":"),
    *("|", "\n", "://", "@", "sig=", "code=", "state=", "&", "?", "se=1", "thin:", "/", "\\"),
    *("hooks.slack.com/services/", "T0/B0/x1", "4111111111111111", "4111 1111 1111 1111", "$"),
    *("$2b$12$", "a" * 53, "eyJ", "-----BEGIN PRIVATE KEY-----", "basic ", "YTpi", "Bearer "),
    *("a1b2c3d4e5f6g7", "name=", '"name":', '"password"', "value", "</", "<b>", "'", '"', "%41"),
    *(
        "\\u0041",
        "&amp;",
        "\u00e9",
        "\ufb01",
        "\u2003",
        "\uff1d",
        "identified by ",
        "VALUES (",
        ",",
    ),
    *("echo ", "config set ", "secret ", "PWD", "htpasswd -b f u ", "ldapsearch -w ", "sqlcmd "),
    *("--from-literal ", "--value ", "ConvertTo-SecureString ", "--proxy ", "<password>", "api "),
    *(" is ", " to ", "\u017f", "\u212a", "-stdin", "PASSWORD '", "webhook/", "tokens:\n - a"),
]


@pytest.mark.parametrize(
    "text",
    [
        "-u ann:hunter22",
        "-uann:hunter22",
        "x -uann:hunter22",
        "--auth=ann:hunter22",
        "--proxy ann:hunter22",
        "M00000000000000000000000.000000.000000000000000000000000000",
        "s_s_n=123456789",
        "run -P-w hunter22",
    ],
)
def test_a_text_that_was_overlooked_is_not(text: str) -> None:
    assert not is_overlooked(text)


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
@settings(steady, max_examples=1500)
def test_no_text_of_pieces_is_overlooked(text: str) -> None:
    assert not is_overlooked(text)


@pytest.mark.parametrize("before", ["", " ", "(", '"', "\u00e9", *map(chr, range(1, 32))])
@pytest.mark.parametrize(
    "text",
    [
        "password=hunter22",
        "--password hunter22",
        "Bearer a1b2c3d4e5f6g7",
        pytest.param("ghp_" + "a1B2" * 9, id="token"),
        "curl -u ann:hunter22 x",
        "mysql -phunter22",
        "docker login -p hunter22",
        "net user ann hunter22",
        "IDENTIFIED BY 'hunter22'",
        "sig=a1b2c3&se=1",
        "code=a1b2c3&state=1",
        "4111 1111 1111 1111",
        "$2b$12$" + "a" * 53,
        "https://ann:hunter22@db/",
        '{"kty":"oct","k":"hunter22"}',
        "password was changed to 'hunter22'",
    ],
)
def test_a_secret_is_found_in_the_json_of_any_text(text: str, before: str) -> None:
    """JSON writes a line end as a letter behind a backslash, and the quick search reads JSON."""
    redactor = Redactor()
    value = {"x": f"a{before}{text}"}

    assert encode(redactor.clean(value)) == redactor.encode(value)


@pytest.mark.parametrize(
    "name", ["s_s_n", "p-w", "O.T.P", "DPoP", "user%5Bpin%5D", "\\u0070in", "\uff50in", "p\u0131n"]
)
def test_a_name_that_is_judged_secret_is_found_in_json(name: str) -> None:
    redactor = Redactor()
    value = {name: "hunter22"}

    assert encode(redactor.clean(value)) == redactor.encode(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the order was paid",
        '{"id":5,"user":"ann","items":[{"sku":"a-1","count":2}]}',
        "GET /api/orders/5?page=2 200",
        "passenger=ann&compassion=5",
        "bob@example.org: a://b",
        "https://shop.example:8443/x",
        "the author of the shipping list",
        "é ü",
    ],
)
def test_a_text_without_a_mark_of_a_secret_is_no_suspect(text: str) -> None:
    assert not may_be_in(text)


def test_only_further_names_and_patterns_are_looked_for_without_the_rules() -> None:
    few = Suspects(
        SecretNames(["iban"], use_nouns=False), [re.compile(r"AB\d{4}")], use_rules=False
    )

    assert [True, True, True, False] == [
        few.may_be_in(text) for text in ("I-B.A_N: x", "no AB1234", "%41", "password=x")
    ]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("iban", "my I_B-A N"),
        ("ssid", "\u017f\u017fid=x"),
        ("ikey", "I\u212aey=x"),
        ("stra\u00dfe", "STRA\u00dfE=x"),
        ("contrase\u00f1a", "contrasen\u0303a=x"),
        ("__", "a__b=x"),
        ("a.*", "aa=a.*"),
    ],
)
def test_a_further_name_is_found_in_any_spelling(key: str, text: str) -> None:
    assert Suspects(SecretNames([key]), (), use_rules=True).may_be_in(text)


def test_a_text_without_secrets_is_remembered_until_there_are_too_many() -> None:
    redactor = Redactor()
    texts = [f"the password of user {number} expired" for number in range(1100)]
    for text in texts:
        assert text == redactor.clean_text(text)

    assert not redactor.suspects.is_clean(texts[0])
    assert redactor.suspects.is_clean(texts[-1])
    assert len(redactor.suspects.known) <= 1024


def test_long_texts_are_not_remembered() -> None:
    long = "password expired " * 100
    suspects.remember(long)

    assert not suspects.is_clean(long)


@pytest.mark.parametrize("pattern", [r"hunter\d+$", r"^hunter\d+", r"\Ahunter\d+", r"hunter\d+\Z"])
def test_a_pattern_for_the_end_of_a_text_finds_the_end_of_a_text_in_an_object(pattern: str) -> None:
    """The JSON of the object has neither beginning nor end there, and was stored as it is."""
    redactor = Redactor(patterns=[pattern])

    assert b'{"a":"***REDACTED***"}' == redactor.encode({"a": "hunter22"})


def test_a_sign_of_an_anchor_in_another_place_is_none() -> None:
    assert Redactor(patterns=[r"[^x]y\$\d"]).suspects.patterns


def test_what_the_middleware_says_of_a_request_is_not_suspected() -> None:
    """ "path_params" looked like the beginning of a token: each request went through all rules."""
    metadata = {"path_params": {"order_id": 17}, "route": "/api/orders/{order_id:int}"}

    assert not Redactor().suspects.may_be_in_json(encode(metadata).decode())
