"""A secret is masked in every spelling, before a text is cut."""

from __future__ import annotations

import base64
import html
import json
import traceback
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from audit_handler.clickhouse._shown import mask_chain, shown
from audit_handler.target import Target

PASSWORD = "s3cret'<ä>&\\\"x y/z"
SECRETS = Target(scheme="http", host="h", user="app", password=PASSWORD).secrets()

SPELLINGS: list[Callable[[str], str]] = [
    str,
    quote,
    quote_plus,
    lambda text: quote(text, safe=""),
    html.escape,
    json.dumps,
    lambda text: json.dumps(text, ensure_ascii=False),
    repr,
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.b64encode(f"app:{text}".encode()).decode(),
    lambda text: text.encode().decode("latin-1"),
    lambda text: text.replace("\\", "\\\\").replace("'", "\\'"),
    lambda text: text.replace(" ", "\n"),
    lambda text: text[:8],
    lambda text: text[:5],
]


@pytest.mark.parametrize("spell", SPELLINGS)
def test_a_secret_is_masked_in_each_spelling(spell: Callable[[str], str]) -> None:
    text = shown(f"before {spell(PASSWORD)}", SECRETS)

    assert "before ***" == text.replace("'", "").replace('"', "")


def test_a_text_is_cut_after_the_secret_is_masked() -> None:
    assert "x" * 296 + " ***" == shown("x" * 296 + f" {PASSWORD}", SECRETS)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Authorization: Bearer eyJhbGciOi1.x", "Authorization: ***"),
        ('{"authorization": "Basic Zm9vOmJhcg=="}', '{"authorization": "***"}'),
        ("X-ClickHouse-Key: k", "X-ClickHouse-Key: ***"),
        ("sent Basic Zm9vOmJhcg== to it", "sent Basic *** to it"),
        ("cannot connect to http://me:pw@proxy:1/", "cannot connect to http://***@proxy:1/"),
        ("Basic authentication is off", "Basic authentication is off"),
        ("https://host:8443/x is no url of me@host", "https://host:8443/x is no url of me@host"),
    ],
)
def test_credentials_that_no_option_holds_are_recognized(said: str, expected: str) -> None:
    assert expected == shown(said, ())


def test_the_causes_of_an_error_show_no_secret_and_keep_other_texts() -> None:
    inner = ConnectionError("two\nlines", OSError(f"of {PASSWORD}"))
    outer = ValueError(f"with {PASSWORD}", 7)
    outer.__cause__ = inner
    mask_chain(outer, SECRETS)

    assert ("with ***", 7) == outer.args
    assert "two\nlines" == inner.args[0]
    assert "s3cret" not in "".join(traceback.format_exception(outer))
