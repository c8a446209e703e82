"""Bodies are kept by their type, and cut where they are long."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from audit_handler._http.bodies import Body, pairs
from tests.support.exchanges import FORM, JSON


def body_of(data: bytes, headers: dict[str, str], limit: int = 65_536) -> Body:
    """
    Return a body that came in chunks of seven bytes.
    """
    body = Body(headers, limit)
    for at in range(0, len(data), 7):
        body.add(data[at : at + 7])
    return body


@pytest.mark.parametrize(
    ("data", "headers", "expected"),
    [
        (b'{"a": [1, 1.5, null]}', JSON, {"a": [1, 1.5, None]}),
        (b'{"a": 1}', {"content-type": "application/problem+json; charset=utf-8"}, {"a": 1}),
        (b'{"a": 1}', FORM, {"a": 1}),
        (b'{"a": 1}', {}, {"a": 1}),
        ('{"a": "é"}'.encode("utf-16"), JSON, {"a": "é"}),
        (b"{not json", JSON, "{not json"),
        (b"[" * 5000, JSON, "[" * 5000),
        (b"a=1&b=x%20y&b=z", FORM, {"a": "1", "b": ["x y", "z"]}),
        (b"&".join([b"a=1"] * 1001), FORM, "<more than 1000 fields, 4003 characters>"),
        (b"hello", {"content-type": "text/plain"}, "hello"),
        (b"h\xe9", {"content-type": "text/plain; charset=ISO-8859-1"}, "hé"),
        (b"h\xe9", {"content-type": "text/plain; charset=punycode"}, "h�"),
        (b"\x89PNG", {"content-type": "image/png"}, "<image/png, 4 bytes>"),
        (b"<password>x</password>", {"content-type": "text/xml"}, "<text/xml, 22 bytes>"),
        (b"user,password\nbob,x\n", {"content-type": "text/csv"}, "<text/csv, 20 bytes>"),
        (
            gzip.compress(b"{}", mtime=0),
            {**JSON, "content-encoding": "gzip"},
            f"<gzip of application/json, {len(gzip.compress(b'{}'))} bytes>",
        ),
        (b"", JSON, None),
    ],
)
def test_a_body_is_kept_by_its_type(data: bytes, headers: dict[str, str], expected: Any) -> None:
    body = body_of(data, headers)

    assert expected == body.value()
    assert not body.is_cut


@pytest.mark.parametrize(
    "text",
    [
        "[18446744073709551615, 18446744073709551616, -9223372036854775809, 1e400]",
        '{"a": 123456789012345678901234567890, "b": [1.5, -0, 1e3]}',
        '[NaN, Infinity, "\\ud800"]',
        '{"a": 1, "a": {"b": [null, true, "\\u00e9"]}}',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_a_json_body_is_what_json_says(text: str, encoding: str) -> None:
    """A faster parser takes integers of more than 64 bits for floats, and refuses NaN."""
    body = body_of(text.encode(encoding), JSON)

    assert repr(json.loads(text)) == repr(body.value())


def test_a_long_text_is_cut_and_says_so() -> None:
    body = body_of(b"x" * 1000, {"content-type": "text/plain"}, limit=100)

    assert "x" * 100 == body.value()
    assert body.is_cut
    assert 1000 == body.size


def test_a_body_keeps_nothing_of_what_it_only_describes() -> None:
    body = body_of(b"x" * 1000, {"content-type": "video/mp4"})

    assert b"" == bytes(body._data)
    assert "<video/mp4, 1000 bytes>" == body.value()


def test_no_body_is_kept_with_a_limit_of_zero() -> None:
    body = body_of(b"x" * 1000, {"content-type": "text/plain"}, limit=0)

    assert body.value() is None
    assert not body.is_cut


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ("{", {}),
        ('{"id": 7', {}),
        ('{"id": 7, "us', {"id": 7}),
        ('{"id": 7, "password": {"new', {"id": 7, "password": {}}),
        ('{"password": {"new": "a\\"},}", "old": "b', {"password": {"new": 'a"},}'}}),
        ('{"password": {"new": "a"}, "tags": [1, 2', {"password": {"new": "a"}, "tags": [1]}),
        ('[{"id": 1}, {"id": 2}', [{"id": 1}, {"id": 2}]),
    ],
)
def test_cut_json_is_closed_where_it_was_cut(kept: str, expected: Any) -> None:
    """
    As text, a secret that is an object or a list would be out of the redactor's reach.
    """
    body = body_of(f"{kept} and more".encode(), JSON, limit=len(kept))

    assert expected == body.value()
    assert body.is_cut


@pytest.mark.parametrize("data", [b"}}}}" * 200, b'"' * 999, b"nonsense" * 100])
def test_cut_nonsense_is_kept_as_text(data: bytes) -> None:
    assert data[:500].decode() == body_of(data, JSON, limit=500).value()


def test_cut_json_is_closed_no_deeper_than_the_redactor_goes() -> None:
    """
    Deeper, closing the brackets would take time that grows with the square of the body.
    """
    assert json.loads("[" * 64 + "]" * 64) == body_of(b"[" * 9000, JSON, limit=8000).value()


def test_a_query_of_too_many_fields_is_described() -> None:
    assert {} == pairs("")
    assert "<more than 1000 fields, 2200 characters>" == pairs("a&" * 1100)
