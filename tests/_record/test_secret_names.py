"""Keys whose names contain a part of the list are secret, in any case and spelling."""

from __future__ import annotations

from typing import Any

import pytest

from audit_handler._record.redaction import REDACTED, Redactor
from audit_handler._record.secret_names import DEFAULT_KEYS

redactor = Redactor()
clean = redactor.clean
clean_text = redactor.clean_text

SECRET = "hunter2"


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
