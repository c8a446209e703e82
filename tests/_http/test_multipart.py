"""Forms with files are read into dicts: the fields as they are, the files described."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder

from audit_handler._http.bodies import Body

END = b"--b--\r\n"
MULTIPART = {"content-type": "multipart/form-data; boundary=b"}


def value_of(data: bytes, headers: dict[str, str] = MULTIPART, limit: int = 65_536) -> Any:
    body = Body(headers, limit)
    body.add(data)
    return body.value()


def part(head: str, content: bytes) -> bytes:
    return f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"


def test_fields_are_kept_and_files_are_described() -> None:
    builder = EnvironBuilder(
        method="POST",
        data={
            "name": "Zoë",
            "tags": ["a", "b"],
            "note": "",
            "password": "s3cr3t",
            "meta": json.dumps({"token": "s3cr3t"}),
            "photo": (io.BytesIO(b"\x89PNG\0"), "a photo.png"),
            "list": (io.BytesIO(b"a,b\n"), "list.csv", "text/csv"),
        },
    )
    request = builder.get_request()
    data = request.get_data()

    assert {
        "name": "Zoë",
        "tags": ["a", "b"],
        "note": "",
        "password": "s3cr3t",
        "meta": {"token": "s3cr3t"},
        "photo": "<a photo.png: image/png, 5 bytes>",
        "list": "<list.csv: text/csv, 4 bytes>",
    } == value_of(data, {"content-type": str(request.content_type)})


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ('name="a"', {"a": "x"}),
        ("name=a", {"a": "x"}),
        ('filename="f"; name="a"', {"a": "<f: application/octet-stream, 1 bytes>"}),
        ("name=a; filename*=UTF-8''f", {"a": "<UTF-8''f: application/octet-stream, 1 bytes>"}),
        ('name="say \\"a\\""', {'say "a"': "x"}),
        ("NAME = a ;x=y", {"a": "x"}),
        ("x=y", {"": "x"}),
    ],
)
def test_a_field_has_the_name_that_its_head_says(head: str, expected: Any) -> None:
    assert expected == value_of(part(head, b"x") + END)


def test_line_ends_without_a_carriage_return_are_read() -> None:
    data = part("name=a", b"x") + part("name=b", b"y") + END

    assert {"a": "x", "b": "y"} == value_of(data.replace(b"\r\n", b"\n"))


def test_a_field_in_bytes_and_a_form_within_a_form_are_described() -> None:
    inner = b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n"

    assert {"a": "<application/octet-stream, 2 bytes>"} == value_of(
        part("name=a", b"\xff\xfe") + END
    )
    assert {"": "<multipart/mixed; boundary=c, 17 bytes>"} == value_of(inner)


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (part("name=a", b"x"), "multipart/form-data"),
        (part("name=a", b"x"), "multipart/form-data; boundary=other"),
        (part("name=a", b"x"), "multipart/mixed; boundary=b"),
        (b"--b--\r\n", "multipart/form-data; boundary=b"),
        (part("name=a", b"x") * 1001, "multipart/form-data; boundary=b"),
    ],
)
def test_a_body_without_parts_or_with_too_many_is_described(data: bytes, content_type: str) -> None:
    kind = content_type.partition(";")[0]

    assert f"<{kind}, {len(data)} bytes>" == value_of(data, {"content-type": content_type})


def test_the_last_part_of_a_cut_form_says_so() -> None:
    field, file = part("name=a", b"xyz"), part("name=f; filename=f", b"\0" * 1000)
    head = len(field) + len(part("name=f; filename=f", b"")) - len(b"\r\n")

    def beginning(limit: int) -> Any:
        return value_of(field + file + END, limit=limit)

    assert {"a": "xy<cut>"} == beginning(len(field) - len(b"z\r\n"))
    assert {"a": "xyz"} == beginning(len(field) + 20)
    assert {"a": "xyz", "f": "<f: application/octet-stream, cut at 9 bytes>"} == beginning(head + 9)
