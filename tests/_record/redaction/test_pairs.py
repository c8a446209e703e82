"""Names and values in text: where a value ends, and which values stay."""

from __future__ import annotations

import pytest

from audit_handler._record.redaction import REDACTED
from audit_handler._record.redaction.names import SecretNames
from audit_handler._record.redaction.pairs import Pairs
from audit_handler._record.redaction.spans import without

pairs = Pairs(SecretNames())


def shown(text: str) -> str:
    return without(text, list(pairs.spans(text)))


@pytest.mark.parametrize("sign", ["=", ":", ": ", " = ", " : ", "==", "=>", " => ", "->", ":="])
def test_a_value_follows_any_sign(sign: str) -> None:
    assert f"user{sign}ann password{sign}{REDACTED}" == shown(
        f"user{sign}ann password{sign}hunter2"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Forms and queries end at the next pair.
        ("user=bob&password=it's-hunter2&x=1", f"user=bob&password={REDACTED}&x=1"),
        ("password=hunter2&x=1", f"password={REDACTED}&x=1"),
        ("/a?token=a1#top", f"/a?token={REDACTED}#top"),
        ("user[password]=hunter2", f"user[password]={REDACTED}"),
        # Quotes.
        ("password='a b' x", f"password='{REDACTED}' x"),
        ('password: "a \\" b" x', f'password: "{REDACTED}" x'),
        ("{'password': b'hunter2'}", f"{{'password': b'{REDACTED}'}}"),
        ("('password', 'hunter2')", f"('password', '{REDACTED}')"),
        # Brackets, in JSON and repr.
        ('"tokens": ["a1", "b2"], "x"', f'"tokens": {REDACTED}, "x"'),
        ('"token": 12345, "x": 1', '"token": 12345, "x": 1'),
        ('"pin": 12345, "x": 1', f'"pin": {REDACTED}, "x": 1'),
        ("'token': Token('a1'), 'x'", f"'token': {REDACTED}, 'x'"),
        # Messages: a token is a word, a password goes on to the next pair or the end of the line.
        ("token=abc1 failed", f"token={REDACTED} failed"),
        ("token: Bearer abc1 failed", f"token: {REDACTED} failed"),
        ("password=correct horse, user=bob", f"password={REDACTED}, user=bob"),
        ("password: correct horse\nuser: bob", f"password: {REDACTED}\nuser: bob"),
        ("login(password=abc, user=bob)", f"login(password={REDACTED}, user=bob)"),
        ("otp: 123 456 is wrong", f"otp: {REDACTED} is wrong"),
        ("recovery_code=9f3k-22xx", f"recovery_code={REDACTED}"),
        # Headers go to the end of the line, or of the quotes around them.
        ("Cookie: a=b; c=d\r\nHost: x", f"Cookie: {REDACTED}\r\nHost: x"),
        ("Authorization: Digest a=b, c=d\nX: y", f"Authorization: {REDACTED}\nX: y"),
        ("curl -H 'Cookie: a=b; c=d' x", f"curl -H 'Cookie: {REDACTED}' x"),
        # YAML.
        ("tokens:\n  - a1\n  - b2\nx: y", f"tokens:\n  {REDACTED}\nx: y"),
        # A name that is not connected.
        ("the api key: hunter2", f"the api key: {REDACTED}"),
        # Words of a message.
        (
            "password changed from 'a' to 'b'.",
            f"password changed from '{REDACTED}' to '{REDACTED}'.",
        ),
        ("your security code is 123456.", f"your security code is {REDACTED}."),
        ("password was reset to hunter2", f"password was reset to {REDACTED}"),
    ],
)
def test_a_value_ends_where_its_form_says(text: str, expected: str) -> None:
    assert expected == shown(text)


@pytest.mark.parametrize("sign", ["|", ">", "|-", ">+", "|2"])
def test_a_block_of_yaml_ends_where_its_indent_does(sign: str) -> None:
    text = f"user:\n  password: {sign}\n    hun\n\n    ter2\n  id: 5\nzone: eu\n"
    left = shown(text)

    assert (False, False) == ("hun" in left, "ter2" in left)
    assert ["  id: 5", "zone: eu"] == left.splitlines()[-2:]
    assert left == shown(left)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "password",
        "the password expired",
        "wrong password, try again: later",
        "password=",
        "password=&user=bob",
        "password: null, token: true",
        "password: required",
        "max_tokens=4096 total_tokens: 1532",
        '{"tokens": 5, "password": "", "pin": null, "secrets": []}',
        "PWD=/root",
        "GET /v1/tokens: 200",
        "token_type=bearer&token_id=a1",
        "API token: a new description",
        "arn:aws:secretsmanager:eu-west-1:1:secret:prod/db",
        "https://token:8080/x",
        "secret:write secret:read",
        "password is required",
        "the token was revoked by ann",
        "password reset requested for u-ann",
        '"authorization": {"action": "read", "scope": "x"}',
        "compass=north shipping=fast",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert text == shown(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/x?sig=a1&se=2", f"/x?sig={REDACTED}&se=2"),
        ("/x?X-Amz-Signature=a1&X-Amz-Date=2", f"/x?X-Amz-Signature={REDACTED}&X-Amz-Date=2"),
        ("/x?Expires=1&Signature=a1", f"/x?Expires=1&Signature={REDACTED}"),
        ("/cb?code=a1&state=b2", f"/cb?code={REDACTED}&state=b2"),
        ("code=a1&grant_type=authorization_code", f"code={REDACTED}&grant_type=authorization_code"),
        (f"/api/f?code={'a1' * 25}", f"/api/f?code={REDACTED}"),
        ("/x?sig=a1", "/x?sig=a1"),
        ("/x?code=404&page=2", "/x?code=404&page=2"),
        ("/x?country_code=DE&state=a", "/x?country_code=DE&state=a"),
        ("/a?code=1 /b?state=2", "/a?code=1 /b?state=2"),
    ],
)
def test_a_signature_and_a_code_are_secret_beside_what_makes_them_so(
    text: str, expected: str
) -> None:
    assert expected == shown(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"name": "password", "value": "hunter2"}, {"na',
            f'{{"name": "password", "value": "{REDACTED}"}}, {{"na',
        ),
        (
            '{"field":"user.password","old":"a1","new":"b2","by":"ann"',
            f'{{"field":"user.password","old":"{REDACTED}","new":"{REDACTED}","by":"ann"',
        ),
        ("key=api_key value=hunter2", f"key=api_key value={REDACTED}"),
        ("- name: DB_PASSWORD\n  value: hunter2\n", f"- name: DB_PASSWORD\n  value: {REDACTED}\n"),
        ("- name: DB_HOST\n  value: db\n", "- name: DB_HOST\n  value: db\n"),
        ('{"name": "token_type", "value": "a1"', '{"name": "token_type", "value": "a1"'),
        ('{"name": "password", "value": ""', '{"name": "password", "value": ""'),
    ],
)
def test_a_value_beside_a_secret_label_is_found(text: str, expected: str) -> None:
    assert expected == shown(text)


def test_names_that_were_given_are_found_too() -> None:
    more = Pairs(SecretNames(["iban"], use_nouns=False))

    assert [(9, 12)] == list(more.spans("my_iban2=DE1 password=x"))
