"""A secret is found in a sentence, and behind a name that only blanks separate from it."""

from __future__ import annotations

import pytest

from audit_handler._record.redaction import REDACTED, Redactor

clean_text = Redactor().clean_text


@pytest.mark.parametrize(
    "text",
    [
        "password changed from '{}' to '{}'",
        "the password is {}",
        "Password was reset to '{}'",
        "A temporary password is generated for root@localhost: {}",
        "requirepass {}",
        "login failed for bob with password {}",
        "enable password 5 {}",
        "machine api.example.org login bob password {}",
        "ENV DB_PASSWORD {}",
    ],
)
def test_what_a_sentence_says_is_found(text: str) -> None:
    secrets = ["Maple-otter12", "fjord_4Seven"][: text.count("{}")]

    assert text.format(*[REDACTED] * len(secrets)) == clean_text(text.format(*secrets))


@pytest.mark.parametrize("code", ["otp is {}", "Your verification code is {}"])
def test_a_code_of_digits_is_found(code: str) -> None:
    assert code.format(REDACTED) == clean_text(code.format("493817"))


@pytest.mark.parametrize(
    "text",
    [
        "the password is required",
        "password changed for user 42",
        "password: changed by bob",
        "passwd: password updated successfully",
        "The otp is 6 characters long",
        "password reset2",
        "password 2026-11-27",
        "password of ann@example.org",
        "access token sha256:1a2b3c expired",
        "token 550e8400-e29b-41d4-a716-446655440000 revoked",
        "tests pass: 12, fail: 3",
        "unexpected token: }",
        "Verification code: sent",
    ],
)
def test_a_sentence_about_a_secret_stays(text: str) -> None:
    assert text == clean_text(text)
