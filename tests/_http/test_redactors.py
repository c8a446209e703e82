"""Several redactors as one."""

from __future__ import annotations

import pytest

from audit_handler._http.redactors import Redactors
from audit_handler._record.redaction import REDACTED, Redactor

BOTH = Redactors(
    (
        Redactor(["birthday"], use_default_keys=False),
        Redactor(["iban"], use_default_keys=False),
    )
)


@pytest.mark.parametrize(
    ("key", "is_secret"), [("birthday", True), ("iban", True), ("password", False)]
)
def test_a_key_is_secret_if_one_of_them_says_so(key: str, is_secret: bool) -> None:
    assert is_secret == BOTH.is_secret(key)


def test_a_text_is_cleaned_by_all_of_them() -> None:
    text = "birthday=1815-12-10 iban=GB00 name=Ada"

    assert f"birthday={REDACTED} iban={REDACTED} name=Ada" == BOTH.clean_text(text)
