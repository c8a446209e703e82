"""A key is secret if its last words are, in any case and spelling."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_handler._record.plain import encode
from audit_handler._record.redaction import REDACTED, Redactor
from audit_handler._record.redaction.names import (
    CODE,
    COUNTS,
    DIRECTORY,
    GIVEN,
    HEADER,
    KIND,
    LABEL,
    LOOK,
    NOUNS,
    PASSWORD,
    PLURAL,
    RIGHTS,
    TAILS,
    TEXT,
    TOKEN,
    VALUE,
    SecretNames,
    words_of,
)

redactor = Redactor()
clean = redactor.clean
names = SecretNames()
judge = names.judge

SECRET = "hunter2"
ALL_NOUNS = [noun for nouns in NOUNS.values() for noun in nouns.split()]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("userPIN", ["user", "pin"]),
        ("user_pin", ["user", "pin"]),
        ("user%5Bpin%5D", ["user", "pin"]),
        ("HTTPSToken", ["https", "token"]),
        ("user2Token", ["user", "2", "token"]),
        ("X-Api-Key", ["x", "api", "key"]),
        ("Stra\u00dfe", ["stra", "\u00df", "e"]),
        ("\uff50\uff49\uff4e", ["pin"]),
        ("", []),
        ("--", []),
    ],
)
def test_a_name_is_split_into_its_words(name: str, words: list[str]) -> None:
    assert words == words_of(name)


@pytest.mark.parametrize("sign", ["_", "-", ".", " ", ""])
@pytest.mark.parametrize("noun", ALL_NOUNS)
def test_each_noun_is_secret_with_any_separator_and_in_the_plural(noun: str, sign: str) -> None:
    name = noun.replace("-", sign)

    assert [True, True, True] == [
        bool(judge(spelling) & KIND) for spelling in (name, name.upper(), f"{name}s")
    ]


@pytest.mark.parametrize("tail", sorted(TAILS))
def test_a_tail_does_not_change_what_a_value_is(tail: str) -> None:
    assert PASSWORD == judge(f"password_{tail}") & KIND
    assert TOKEN == judge(f"accessToken{tail.title()}2") & KIND


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
        "client-secret",
        "SSN",
        "userSsn",
        "Proxy-Authorization",
        "Set-Cookie",
        "user[password]",
        "password[new]",
        b"authorization",
        "pass",
        "userPin",
        "pin2",
        "TOTP",
        "DPoP",
        "X-Amz-Signature",
        "recovery_codes",
        "signing_key_pem",
        "pa\u017fsword",
        "\uff50assword",
        "pass\u0077ord",
        "accountPrivateKeyBase64",
    ],
)
def test_a_key_is_secret_in_any_case_and_with_any_separators(key: Any) -> None:
    assert [REDACTED] == list(clean({key: SECRET}).values())


@pytest.mark.parametrize(
    "key",
    [
        *("name", "businessName", "class_name", "key", "monkey", "card", "author", 5, None),
        *("compass", "bypass", "passenger", "shipping", "spinner", "pinned", "session", "opinion"),
        # Ids, kinds and times of secrets, and what is said about them.
        *("token_id", "tokenId", "secretId", "token_type", "secret_name", "credential_type"),
        *("password_hash", "token_hash", "passwordResetRequired", "password_expires_at"),
        *("authorizationInfo", "authorization_endpoint", "passwordPolicy", "key_id"),
        *("accessKeyId", "access_key_id", "tokenizer", "secretary", "authorized"),
        # What a query goes on with, and what makes it idempotent.
        *("nextToken", "next_page_token", "continuationToken", "clientToken", "idempotency_token"),
        *("publicKeyToken", "hashed_password", "public_key", "primary_key", "keyboard"),
    ],
)
def test_an_innocent_key_keeps_its_value(key: Any) -> None:
    assert [SECRET] == list(clean({key: SECRET}).values())


@pytest.mark.parametrize(("key", "is_secret"), [("client_token", True), ("clientToken", False)])
def test_vaults_token_is_secret_and_the_one_of_aws_is_not(key: str, is_secret: bool) -> None:
    assert is_secret == redactor.is_secret(key)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("password", PASSWORD),
        ("otp", CODE),
        ("token", TOKEN),
        ("set-cookie", HEADER),
        ("authorization", RIGHTS),
    ],
)
def test_a_name_has_the_kind_of_its_noun(name: str, kind: int) -> None:
    assert kind == judge(name) & KIND


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("token", COUNTS),
        ("max_tokens", COUNTS),
        ("tokens", PLURAL),
        ("PWD", DIRECTORY),
        ("displayName", LABEL),
        ("ParameterKey", LABEL),
        ("newValue", VALUE),
        ("ParameterValue", VALUE),
        ("kty", LOOK),
        ("Columns", LOOK),
        ("ghp_0123456789abcdef", TEXT),
        ("a=b", TEXT),
    ],
)
def test_a_verdict_has_flags(name: str, flag: int) -> None:
    assert flag == judge(name) & flag


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("password", COUNTS),
        ("otps", PLURAL),
        ("password", DIRECTORY),
        ("fileName", LABEL),
        ("fileValue", VALUE),
        ("created_at", TEXT),
        ("request_body", TEXT),
    ],
)
def test_a_verdict_is_without_the_flags_of_others(name: str, flag: int) -> None:
    assert 0 == judge(name) & flag


def test_the_words_at_the_end_of_a_long_name_decide() -> None:
    assert PASSWORD == judge("a_" * 500 + "password") & KIND
    assert 0 == judge("password" + "_a" * 500) & KIND


# Names that the application gives


def test_further_keys_are_redacted_beside_the_default_ones() -> None:
    more = Redactor(["IBAN", "badge"])

    assert {"iban": REDACTED, "BADGE_code": REDACTED, "password": REDACTED} == more.clean(
        {"iban": SECRET, "BADGE_code": SECRET, "password": SECRET}
    )


@pytest.mark.parametrize("key", ["my_iban", "ibanList", "I-BAN", "i.b a_n", "ibans"])
def test_a_further_key_is_a_part_of_a_name_in_any_spelling(key: str) -> None:
    assert GIVEN == SecretNames(["iban"]).judge(key) & KIND


@pytest.mark.parametrize("value", [SECRET, 5, True, ["a"], {"id": 1}, "required", 0.5])
def test_all_of_the_value_of_a_further_key_is_secret(value: Any) -> None:
    assert {"iban": REDACTED} == Redactor(["iban"]).clean({"iban": value})


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_a_further_key_without_a_value_shows_so(value: Any) -> None:
    assert {"iban": value} == Redactor(["iban"]).clean({"iban": value})


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


# Names that the application excepts


@pytest.mark.parametrize("key", ["csrf_token", "csrfToken", "CSRF-Token", "csrftoken"])
def test_an_excepted_key_stays_in_any_spelling(key: str) -> None:
    excepting = Redactor(exceptions=["csrf_token"])

    assert {key: SECRET} == excepting.clean({key: SECRET})
    assert f"{key}={SECRET}" == excepting.clean_text(f"{key}={SECRET}")


def test_an_exception_is_a_whole_name() -> None:
    excepting = Redactor(exceptions=["token"])

    assert {"token": SECRET, "my_token": REDACTED} == excepting.clean(
        {"token": SECRET, "my_token": SECRET}
    )


def test_an_exception_wins_over_a_further_key() -> None:
    excepting = Redactor(["iban"], exceptions=["iban_country"])

    assert {"iban": REDACTED, "iban_country": "DE"} == excepting.clean(
        {"iban": SECRET, "iban_country": "DE"}
    )


# The cache


def test_random_keys_do_not_fill_the_memory() -> None:
    hostile = Redactor(max_nodes=20_000)
    hostile.clean({f"key{number}": 1 for number in range(10_000)} | {"password": SECRET})

    assert len(hostile.names.verdicts) <= 4096


def test_long_keys_are_judged_each_time() -> None:
    long = "a" * 200 + "_password"
    own = SecretNames()

    assert PASSWORD == own.judge(long) & KIND
    assert long not in own.verdicts


SIGNS = [
    "",
    "_",
    "__",
    "-",
    ".",
    " ",
    "  ",
    "/",
    "[",
    "]",
    ":",
    "'",
    "(",
    "+",
    "\n",
    "\t",
    "\u00a0",
]
ODD_SIGNS = [*SIGNS, '"', "\\", "\u00e9", "%5B", "\\t"]


@given(data=st.data())
@settings(max_examples=300, derandomize=True, deadline=None)
def test_each_secret_name_is_seen_by_the_quick_search(data: st.DataObject) -> None:
    """`Redactor.encode` would store the value of a name that only `judge` takes for secret."""
    noun = data.draw(st.sampled_from(ALL_NOUNS))
    odd = data.draw(st.integers(0, 8)) == 0
    signs = st.sampled_from(ODD_SIGNS if odd else SIGNS)
    name = "".join(data.draw(signs) if letter == "-" else letter for letter in noun)
    if odd:
        cut = data.draw(st.integers(0, len(name)))
        name = name[:cut] + data.draw(signs) + name[cut:]
    for tail in data.draw(st.lists(st.sampled_from(["new", "2", "value", "b"]), max_size=2)):
        name += data.draw(signs) + tail
    name = data.draw(st.sampled_from(["", "user", "user_", "a\\"])) + name + data.draw(signs) * 4

    value = {"password": "***REDACTED***", name: "hunter2x"}

    assert encode(redactor.clean(value)) == redactor.encode(value)


@pytest.mark.parametrize("name", ["to_ken", "pa-ssword", "pass_wd", "api\\key", 'api"key', "cv_v2"])
def test_a_noun_in_pieces_is_none(name: str) -> None:
    assert not judge(name) & KIND
