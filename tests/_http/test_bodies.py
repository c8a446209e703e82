"""Bodies are kept by their type, and cut where they are long."""

from __future__ import annotations

import gzip
import json
import random
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from audit_handler._http.bodies import Body
from tests.support.exchanges import FORM, JSON

PNG = {"content-type": "image/png"}
BINARY = b"\x89PNG"


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
        (b"<total>9</total>", {"content-type": "text/xml"}, "<total>9</total>"),
        (b"<total>9</total>", {"content-type": "application/soap+xml"}, "<total>9</total>"),
        (b"user,total\nbob,9\n", {"content-type": "text/csv"}, "user,total\nbob,9\n"),
        (b"<p>Hello</p>", {"content-type": "text/html"}, "<text/html, 12 bytes>"),
        (b"<svg></svg>", {"content-type": "image/svg+xml"}, "<image/svg+xml, 11 bytes>"),
        (b"data: 1\n\n", {"content-type": "text/event-stream"}, "<text/event-stream, 9 bytes>"),
        (b"\x89PNG", {}, "<application/octet-stream, 4 bytes>"),
        (b"", JSON, None),
        (b"null", JSON, None),
        (b"7", JSON, 7),
        (b"7", {}, "7"),
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


@pytest.mark.parametrize(
    "content_type",
    ["image/png", "text/csv", "text/html", "application/octet-stream", "multipart/form-data", "x"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_body_that_is_json_is_read_whatever_its_type_says(
    content_type: str, encoding: str
) -> None:
    """An application may parse a body without looking at its type; Starlette's ``json()`` does."""
    data = ' \n{"name": "Tea", "password": "s3cr3t"}'.encode(encoding)

    body = body_of(data, {"content-type": content_type})

    assert {"name": "Tea", "password": "s3cr3t"} == body.value()


@pytest.mark.parametrize(
    "data",
    [b"[not json", b"{\\rtf1 hello}", b"{" + bytes(range(128, 256)), b'{"a": 1} and more', b" "],
)
def test_a_body_that_only_looks_like_json_is_described(data: bytes) -> None:
    body = body_of(data, {"content-type": "application/rtf"})

    assert f"<application/rtf, {len(data)} bytes>" == body.value()
    assert not body.is_cut


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}, FORM])
def test_a_body_that_is_a_form_is_read_without_the_type_of_one(headers: dict[str, str]) -> None:
    assert {"name": "Ada", "p w": "x"} == body_of(b"name=Ada&p%20w=x", headers).value()


def test_a_form_without_its_type_may_end_with_a_line() -> None:
    assert {"a": "1", "b": "2"} == body_of(b"a=1&b=2\r\n", {}).value()


@pytest.mark.parametrize("text", ["E=mc2", "aGVsbG8=", "a=1 & b=2", "see http://x/?a=1&b=2", "a&b"])
def test_a_text_that_may_not_be_a_form_stays_one(text: str) -> None:
    assert text == body_of(text.encode(), {"content-type": "text/plain"}).value()


@pytest.mark.parametrize("charset", ["", "; charset=latin-1", "; charset=utf-16", "; charset=x"])
def test_a_text_is_read_as_what_it_is_written_in(charset: str) -> None:
    """As UTF-16, the UTF-8 of a password is Chinese; as UTF-8, that of UTF-16 has zeros in it."""
    headers = {"content-type": f"text/plain{charset}"}

    assert "password: é" == body_of("password: é".encode(), headers).value()
    assert "password: é" == body_of("password: é".encode("utf-16"), headers).value()
    assert "password: é" == body_of("password: é".encode("utf-16-le"), headers).value()
    assert "<text/plain, 5 bytes>" == body_of(b"abcd\0", headers).value()


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_text_in_another_alphabet_is_read_by_its_charset(charset: str) -> None:
    """All its bytes may be those of letters, so nothing but the charset tells."""
    data = "密码".encode("utf-16-le" if charset == "utf-16" else charset)

    assert "密码" == body_of(data, {"content-type": f"text/plain; charset={charset}"}).value()


def test_a_file_is_described() -> None:
    """What is in it is not what was asked; JSON is read anyway."""
    headers = {"content-type": "text/csv", "content-disposition": "attachment; filename=a.csv"}

    assert "<text/csv, 8 bytes>" == body_of(b"a,b\n1,2\n", headers).value()
    assert {"a": 1} == body_of(b'{"a": 1}', headers).value()


def test_no_body_is_kept_with_a_limit_of_zero() -> None:
    body = body_of(b"x" * 1000, {"content-type": "text/plain"}, limit=0)

    assert body.value() is None
    assert not body.is_cut


# Compressed bodies


@pytest.mark.parametrize(
    "coding", ["Identity", "IDENTITY", "", " ", "identity, identity", "identity,", ",Identity"]
)
def test_a_body_with_a_coding_that_changes_nothing_is_read(coding: str) -> None:
    headers = {**JSON, "content-encoding": coding}

    assert {"a": 1} == body_of(b'{"a": 1}', headers).value()
    assert (
        "<image/png, 4 bytes>" == body_of(b"\x89PNG", {**PNG, "content-encoding": coding}).value()
    )


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "DEFLATE", "br", "zstd", "utf-8", "gzip, br"])
@pytest.mark.parametrize(
    ("data", "headers", "expected"),
    [
        (b'{"a": "\xc3\xa9"}', JSON, {"a": "é"}),
        (b"a=1&b=2", FORM, {"a": "1", "b": "2"}),
        (b"hello\n", {"content-type": "text/plain"}, "hello\n"),
        (b'{"a": 1}', {"content-type": "image/png"}, {"a": 1}),
    ],
)
def test_a_body_that_claims_to_be_compressed_and_is_not_is_read(
    coding: str, data: bytes, headers: dict[str, str], expected: Any
) -> None:
    body = body_of(data, {**headers, "content-encoding": coding})

    assert expected == body.value()
    assert not body.is_cut


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32-be"])
def test_json_in_utf_16_that_claims_to_be_compressed_is_read(encoding: str) -> None:
    body = body_of('{"a": 1}'.encode(encoding), {**JSON, "content-encoding": "gzip"})

    assert {"a": 1} == body.value()


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("X-GZIP", gzip.compress),
        ("gzip, identity", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("deflate", gzip.compress),
    ],
)
def test_a_compressed_body_is_stored_as_what_it_holds(
    coding: str, compress: Callable[[bytes], bytes]
) -> None:
    def value(data: bytes, headers: dict[str, str]) -> Any:
        return body_of(compress(data), {**headers, "content-encoding": coding}).value()

    assert {"password": "x"} == value(b'{"password": "x"}', JSON)
    assert {"a": "1", "b": "2"} == value(b"a=1&b=2", FORM)
    assert {"a": 1} == value(b'{"a": 1}', {"content-type": "image/png"})
    assert value(BINARY, PNG).endswith(f" of image/png, {len(compress(BINARY))} bytes>")


def test_a_bomb_is_unfolded_to_the_limit_only() -> None:
    bomb = gzip.compress(b'{"a": "' + b"x" * 50_000_000)

    tracemalloc.start()
    try:
        body = body_of(bomb, {**JSON, "content-encoding": "gzip"}, limit=60_000)
        value = body.value()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert '{"a": "' + "x" * 59_993 == value
    assert body.is_cut
    assert peak < 1_000_000


def test_the_beginning_of_a_long_compressed_body_is_kept() -> None:
    noise = random.Random(7).randbytes(5_000).hex()
    packed = gzip.compress(f'{{"a": "{noise}"}}'.encode())

    body = body_of(packed, {**JSON, "content-encoding": "gzip"}, limit=1_000)

    assert body.value() == f'{{"a": "{noise}'[: len(body.value())]
    assert len(body.value()) > 500
    assert body.is_cut
    assert len(packed) == body.size


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", gzip.compress(b'{"a": 1}', mtime=0) + gzip.compress(b'{"b": 1}', mtime=0)),
        ("gzip", b"\x1f\x8b and nothing more"),
        ("br", b'\x0b\x03\x80{"a": 1}\x03'),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0)),
    ],
)
def test_a_body_that_cannot_be_unfolded_is_described(coding: str, data: bytes) -> None:
    """
    What follows the end of a compressed body is read by some applications and not by others.
    """
    body = body_of(data, {**JSON, "content-encoding": coding})

    assert f"<{coding} of application/json, {len(data)} bytes>" == body.value()
    assert not body.is_cut


# Cut bodies


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
        ("[1}, 2", []),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "image/png"])
def test_the_beginning_of_cut_json_is_text_and_its_whole_values_are_found(
    kept: str, expected: Any, content_type: str
) -> None:
    """
    An object with some of its values would read as the whole body.
    """
    body = body_of(f"{kept} and more".encode(), {"content-type": content_type}, limit=len(kept))

    assert kept == body.value()
    assert expected == body.whole_values()
    assert body.is_cut


def test_json_that_is_whole_where_it_is_cut_is_text_too() -> None:
    body = body_of(b'{"a": 1}, {"b": 2}', JSON, limit=8)

    assert '{"a": 1}' == body.value()


def test_the_beginning_of_a_cut_form_is_text() -> None:
    body = body_of(b"a=1&b=22222", FORM, limit=8)

    assert "a=1&b=22" == body.value()
    assert body.is_cut


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_a_body_is_cut_between_two_characters(encoding: str) -> None:
    text = '{"a": "' + "é€😀" * 9
    data = text.encode(encoding)

    for limit in range(20, len(data)):
        value = body_of(data, JSON, limit=limit).value()
        assert text.startswith(value)
        assert len(text.encode(encoding)[:limit]) - len(value.encode(encoding)) < 5


@pytest.mark.parametrize("data", [b"}}}}" * 200, b'"' * 999, b"nonsense" * 100, b'{"a" 1, ' * 99])
def test_cut_nonsense_is_kept_as_text(data: bytes) -> None:
    body = body_of(data, JSON, limit=500)

    assert data[:500].decode() == body.value() == body.whole_values()


def test_cut_json_is_closed_no_deeper_than_the_redactor_goes() -> None:
    """
    Deeper, closing the brackets would take time that grows with the square of the body.
    """
    body = body_of(b"[" * 9000, JSON, limit=8000)

    assert json.loads("[" * 64 + "]" * 64) == body.whole_values()


def test_a_cut_image_that_begins_as_json_is_described() -> None:
    body = body_of(b"{" + bytes(range(256)) * 9, {"content-type": "image/png"}, limit=500)

    assert "<image/png, 2305 bytes>" == body.value()
    assert not body.is_cut
