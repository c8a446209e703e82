"""A signature or a code is secret because of the parameters beside it."""

from __future__ import annotations

import pytest

from audit_handler._record.redaction.queries import secrets_in_queries


def found(text: str) -> list[str]:
    return [text[start:end] for start, end in secrets_in_queries(text)]


@pytest.mark.parametrize(
    "beside", ["se=2026-01-01", "sv=2024-05-04&sp=r", "Expires=1", "X-Amz-Date=1", "Policy=x"]
)
@pytest.mark.parametrize("name", ["sig", "Signature", "X-Amz-Signature", "X-Goog-Signature"])
def test_the_signature_of_a_signed_url_is_found(name: str, beside: str) -> None:
    assert ["a1%2Fb"] == found(f"GET https://x.example/y?{beside}&{name}=a1%2Fb&b=2 200")
    assert ["a1"] == found(f"{name}=a1&{beside}")


@pytest.mark.parametrize(
    "beside", ["state=x", "grant_type=a", "redirect_uri=b", "client_id=c", "iss=d"]
)
def test_the_code_of_oauth_is_found(beside: str) -> None:
    assert ["a1"] == found(f"/callback?code=a1&{beside}")
    assert ["a1"] == found(f"{beside}&code=a1")


def test_a_long_code_alone_is_a_key() -> None:
    assert ["a1" * 20] == found(f"https://f.example/api/x?code={'a1' * 20}")


@pytest.mark.parametrize(
    "text",
    ["?code=404", "/x?sig=1&page=2", "design=a&sig=b", "code=x state=y", "zip_code=1&state=2"],
)
def test_a_parameter_alone_stays(text: str) -> None:
    assert [] == found(text)
