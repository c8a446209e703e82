"""Which values under a secret name say nothing secret."""

from __future__ import annotations

from typing import Any

import pytest

from audit_handler._record.redaction import REDACTED, Redactor
from audit_handler._record.redaction.names import (
    CODE,
    COUNTS,
    DIRECTORY,
    GIVEN,
    PASSWORD,
    PLURAL,
    TOKEN,
)
from audit_handler._record.redaction.values import is_about_a_secret, stays

KINDS = [PASSWORD, CODE, TOKEN]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "  ", True, False, "true", "None", "required", "OPTIONAL", "success", "Bearer"),
        *("enabled", "n/a", "rotated", "unverified"),
        # Masks, and references to where the secret is.
        *("****", "\u2022\u2022\u2022\u2022", "xxxxxxxx", "********1234", "***REDACTED***"),
        *("[REDACTED]", "[Filtered]", "<hidden>", "(hidden)", "HIDDEN_DUE_TO_SECURITY_REASONS"),
        *("${DB_PASSWORD}", "{{ db_password }}", "$(cat /run/secret)", "%%1234"),
        "hmac-sha256:" + "ab" * 32,
        "arn:aws:secretsmanager:eu-west-1:1:secret:prod/db",
        "https://vault.example.org/v1/secret/db",
    ],
)
def test_a_state_a_mask_or_a_reference_stays(value: Any, kind: int) -> None:
    assert stays(value, kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "value",
    [
        *("hunter2", "tr0ub4dor", "correct horse battery", "0123456", 5, 5.5, "truely", "nothing1"),
        *("${a}b", "***a b***", "arn of a1b2", "https://ann:pw@db/", "https://x/?sig=a1", "$1a2b3"),
        *("*Secret1", "#hunter2", "x-hunter2", "<b>hunter2</b>"),
        "a" * 300,
    ],
)
def test_any_other_value_is_secret(value: Any, kind: int) -> None:
    assert not stays(value, kind)


@pytest.mark.parametrize("value", ["webauthn", "TOTP", "refresh", "kerberos", "api"])
def test_a_kind_of_credential_is_no_token(value: str) -> None:
    """It may be somebody's password."""
    assert stays(value, TOKEN)
    assert not stays(value, PASSWORD)


@pytest.mark.parametrize(
    ("value", "is_kept"), [("1", True), ("12", True), ("123", False), (0, False)]
)
def test_a_code_has_three_digits_or_more(value: Any, is_kept: bool) -> None:
    assert is_kept == stays(value, CODE)


@pytest.mark.parametrize("value", [0, 4096, 1.5, -1])
def test_a_number_is_a_count_where_names_count(value: Any) -> None:
    assert stays(value, TOKEN | COUNTS)
    assert not stays(value, TOKEN)


def test_digits_as_text_are_a_count_under_a_plural_alone() -> None:
    assert stays("4096", TOKEN | COUNTS | PLURAL)
    assert not stays("4096", TOKEN | COUNTS)


@pytest.mark.parametrize("value", ["/root", "~", "~/src", "./a b", "C:\\Users\\ann", "d:/x"])
def test_a_path_stays_under_the_name_of_the_working_directory(value: str) -> None:
    assert stays(value, PASSWORD | DIRECTORY)
    assert not stays(value, PASSWORD)


@pytest.mark.parametrize("value", [True, False, "required", "****", 5, "arn:aws:x:y:1:z"])
def test_nothing_but_emptiness_stays_under_a_name_that_was_given(value: Any) -> None:
    assert not stays(value, GIVEN)
    assert stays("", GIVEN)
    assert stays(None, GIVEN)


@pytest.mark.parametrize(
    ("name", "is_about"),
    [
        *(("id", True), ("keyId", True), ("token_type", True), ("expires_at", True)),
        *(("Scopes", True), ("createdAt", True), ("userName", True), ("lastUsedOn", True)),
        *(("value", False), ("secret", False), ("hash", False), ("note", False), ("", False)),
    ],
)
def test_some_names_tell_which_secret_it_is(name: str, is_about: bool) -> None:
    assert is_about == is_about_a_secret(name)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"max_tokens": 4096}, {"max_tokens": 4096}),
        ({"passed": 41, "pass": 41, "fail": 0}, {"passed": 41, "pass": 41, "fail": 0}),
        ({"tokens": ["a1b2c3"]}, {"tokens": [REDACTED]}),
        ({"tokens": "1532"}, {"tokens": "1532"}),
        ({"pin": 1234}, {"pin": REDACTED}),
        ({"PWD": "/root"}, {"PWD": "/root"}),
        ({"pwd": "hunter2"}, {"pwd": REDACTED}),
        ({"password": 12345678}, {"password": REDACTED}),
    ],
)
def test_a_value_is_judged_with_its_name(value: Any, expected: Any) -> None:
    assert expected == Redactor().clean(value)
