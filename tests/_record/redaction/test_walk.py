"""A plain value without its secrets: under names, beside labels, in lists, in JSON in texts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from audit_handler._record.redaction import REDACTED, Redactor

clean = Redactor().clean
clean_text = Redactor().clean_text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # An object under a secret name: what tells which secret it is stays.
        (
            {
                "credentials": {
                    "accessKeyId": "AKIA1",
                    "secretAccessKey": "x1",
                    "expiration": "2026",
                }
            },
            {
                "credentials": {
                    "accessKeyId": "AKIA1",
                    "secretAccessKey": REDACTED,
                    "expiration": "2026",
                }
            },
        ),
        (
            {"token": {"id": "t-1", "type": "bearer", "scopes": ["a", "b"], "hash": "x1"}},
            {"token": {"id": "t-1", "type": "bearer", "scopes": ["a", "b"], "hash": REDACTED}},
        ),
        (
            {"password": {"value": "x1", "temporary": False, "hint": None}},
            {"password": {"value": REDACTED, "temporary": False, "hint": None}},
        ),
        ({"secret": {"a": {"b": ["x1", 5]}}}, {"secret": {"a": {"b": [REDACTED, REDACTED]}}}),
        (
            {"secrets": [{"name": "db", "data": "x1"}]},
            {"secrets": [{"name": "db", "data": REDACTED}]},
        ),
        ({"tokens": [1532, 16]}, {"tokens": [1532, 16]}),
        ({"passwords": [12345678]}, {"passwords": [REDACTED]}),
        # Rights are a structure.
        (
            {"authorization": {"action": "read", "evidence": {"role": "admin"}}},
            {"authorization": {"action": "read", "evidence": {"role": "admin"}}},
        ),
        ({"authorization": "AWS4 Credential=a"}, {"authorization": REDACTED}),
        (
            {"authorization": {"note": "password=x1"}},
            {"authorization": {"note": f"password={REDACTED}"}},
        ),
        # JSON under a secret name.
        (
            {"secret": '{"id": "a", "value": "x1"}'},
            {"secret": f'{{"id": "a", "value": "{REDACTED}"}}'},
        ),
        ({"secret": "{not json"}, {"secret": REDACTED}),
    ],
)
def test_what_a_secret_name_holds_is_redacted_but_for_what_is_about_it(
    value: Any, expected: Any
) -> None:
    assert expected == clean(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"name": "password", "value": "x1"}, {"name": "password", "value": REDACTED}),
        ({"value": "x1", "key": "x-api-key"}, {"value": REDACTED, "key": "x-api-key"}),
        (
            {"Name": "Authorization", "Values": ["x1"]},
            {"Name": "Authorization", "Values": [REDACTED]},
        ),
        (
            {"ParameterKey": "DbPassword", "ParameterValue": "x1"},
            {"ParameterKey": "DbPassword", "ParameterValue": REDACTED},
        ),
        (
            {"property": "password", "oldValue": "x1", "newValue": "y2"},
            {"property": "password", "oldValue": REDACTED, "newValue": REDACTED},
        ),
        (
            {"displayName": "Client Secret", "before": None, "after": "x1"},
            {"displayName": "Client Secret", "before": None, "after": REDACTED},
        ),
        (
            {"op": "replace", "path": "/user/password", "value": "x1"},
            {"op": "replace", "path": "/user/password", "value": REDACTED},
        ),
        (
            {"loc": ["body", "password"], "msg": "too short", "input": "x1"},
            {"loc": ["body", "password"], "msg": "too short", "input": REDACTED},
        ),
        ({"name": "user", "value": "x1"}, {"name": "user", "value": "x1"}),
        ({"name": "token_type", "value": "bearer"}, {"name": "token_type", "value": "bearer"}),
        ({"name": "password", "value": None}, {"name": "password", "value": None}),
        ({"name": "tokens", "value": 5}, {"name": "tokens", "value": 5}),
        (
            {"title": "Change password", "text": "how to"},
            {"title": "Change password", "text": "how to"},
        ),
        ({"name": "password", "note": "x1"}, {"name": "password", "note": "x1"}),
    ],
)
def test_a_value_is_redacted_beside_a_secret_label(value: Any, expected: Any) -> None:
    assert expected == clean(value)
    assert json.dumps(expected) == clean_text(json.dumps(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([["authorization", "x1"]], [["authorization", REDACTED]]),
        ([("cookie", "x1"), ("accept", "y")], [["cookie", REDACTED], ["accept", "y"]]),
        ([["password", "x1", "y2"]], [["password", REDACTED, REDACTED]]),
        (
            [["change", "user.password", ["x1", "y2"]]],
            [["change", "user.password", [REDACTED, REDACTED]]],
        ),
        # Only a first item that looks like a name.
        ([["GET /login?password=x1", 200]], [[f"GET /login?password={REDACTED}", 200]]),
        ([["password=x1 is wrong", None]], [[f"password={REDACTED}", None]]),
        ([["user", "password"]], [["user", "password"]]),
        ([["id", "token"], [1, "x1"]], [["id", "token"], [1, "x1"]]),
        (["password", "x1"], ["password", "x1"]),
    ],
)
def test_a_pair_or_triple_in_a_list_may_be_a_name_and_its_values(value: Any, expected: Any) -> None:
    assert expected == clean(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"code": "x1y2z3x1y2z3", "state": "y"}, {"code": REDACTED, "state": "y"}),
        ({"code": "US", "state": "CA"}, {"code": "US", "state": "CA"}),
        ({"code": "x1", "grant_type": "a"}, {"code": REDACTED, "grant_type": "a"}),
        ({"code": "AccessDenied", "message": "no"}, {"code": "AccessDenied", "message": "no"}),
        ({"code": 5, "state": "y"}, {"code": 5, "state": "y"}),
        (
            {"kty": "RSA", "kid": "1", "n": "a", "e": "AQAB", "d": "x1", "p": "x2"},
            {"kty": "RSA", "kid": "1", "n": "a", "e": "AQAB", "d": REDACTED, "p": REDACTED},
        ),
        ({"d": "x1", "p": "x2"}, {"d": "x1", "p": "x2"}),
        (
            {"columns": ["id", "password"], "rows": [[1, "x1"], [2, None], [3]]},
            {"columns": ["id", "password"], "rows": [[1, REDACTED], [2, None], [3]]},
        ),
        (
            {"columns": ["id", "name"], "rows": [[1, "a"]]},
            {"columns": ["id", "name"], "rows": [[1, "a"]]},
        ),
        ({"columns": 2, "rows": [["a", "b"]]}, {"columns": 2, "rows": [["a", "b"]]}),
    ],
)
def test_a_code_a_key_and_a_table_are_seen_by_what_stands_beside(value: Any, expected: Any) -> None:
    assert expected == clean(value)
    assert json.dumps(expected) == clean_text(json.dumps(value))


def test_a_name_that_holds_a_secret_is_cleaned() -> None:
    assert {f"/a?token={REDACTED}": 1, "b": 2} == clean({"/a?token=x1": 1, "b": 2})


def test_names_that_are_the_same_without_their_secrets_are_both_kept() -> None:
    assert {f"token={REDACTED}": 1, f"token={REDACTED} (1)": 2} == clean(
        {"token=x1": 1, "token=y2": 2}
    )


@pytest.mark.parametrize("depth", [1, 2, 5, 8])
def test_json_in_json_is_redacted_by_its_keys(depth: int) -> None:
    text = '{"password":"hunter2","a":1.10}'
    for _ in range(depth):
        text = json.dumps({"inner": text})

    cleaned = clean_text(text)

    for _ in range(depth):
        cleaned = json.loads(cleaned)["inner"]
    assert f'{{"password":"{REDACTED}","a":1.10}}' == cleaned


def test_a_secret_in_json_that_is_too_deep_is_found_as_text() -> None:
    text = '{"password":"hunter2"}'
    for _ in range(12):
        text = json.dumps({"i": text})

    assert "hunter2" not in clean_text(text)


# JSON text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"token":"x1","a":1.10,"a":2}', f'{{"token":"{REDACTED}","a":1.10,"a":2}}'),
        ('{"token": "x1", "n": 1e5}', f'{{"token": "{REDACTED}", "n": 1e5}}'),
        (' [{"pin": 1234}]', f' [{{"pin": "{REDACTED}"}}]'),
        ('\ufeff{"token":"x1"}', f'\ufeff{{"token":"{REDACTED}"}}'),
        ('{"token":"x1","u":"\u00e9"}', f'{{"token":"{REDACTED}","u":"\u00e9"}}'),
        ('{"a":{"password":"x1"},"a":1}', f'{{"a":{{"password":"{REDACTED}"}},"a":1}}'),
        ('{"tokens": 5, "token": "x1"}', f'{{"tokens": 5, "token": "{REDACTED}"}}'),
        (f'{{"token":"x1","big":{10**30}}}', f'{{"token":"{REDACTED}","big":{10**30}}}'),
    ],
)
def test_only_the_secret_changes_in_a_json_text(text: str, expected: str) -> None:
    assert expected == clean_text(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "",  "a" : 1.10}',
        '{ "tokens":5,"tokens":5 }',
        '[\n  "the password expired"\n]\n',
        '"a token: none"',
        '{"password":null}\n',
    ],
)
def test_a_json_text_without_a_secret_is_the_same_text(text: str) -> None:
    assert text is clean_text(text)


@pytest.mark.parametrize("kind", ["Secret", "SecretList"])
@pytest.mark.parametrize("part", ["data", "stringData"])
def test_each_value_of_a_secret_of_kubernetes_is_hidden(kind: str, part: str) -> None:
    value = {"kind": kind, "metadata": {"name": "db"}, part: {"config.yaml": "YTE=", "ca": "YjI="}}

    hidden = dict.fromkeys(("config.yaml", "ca"), REDACTED)
    assert {**value, part: hidden} == clean(value)
    assert {**value, "kind": "ConfigMap"} == clean({**value, "kind": "ConfigMap"})


def test_the_plain_key_of_a_key_service_is_hidden_beside_the_encrypted_one() -> None:
    value = {"KeyId": "arn:aws:kms:x", "CiphertextBlob": "AQI1", "Plaintext": "a1b2c3d4"}

    assert {**value, "Plaintext": REDACTED} == clean(value)
    assert {"Plaintext": "a1b2c3d4"} == clean({"Plaintext": "a1b2c3d4"})


@pytest.mark.parametrize("errors", [["This field is required."], ["too short", "is too common."]])
def test_what_a_form_says_of_a_password_stays(errors: list[str]) -> None:
    assert {"password": errors} == clean({"password": errors})


def test_the_tokens_of_a_parser_stay_and_those_of_a_login_go() -> None:
    value = {"tokens": {"part": "Var_GET", "found": "SQL Injection", "web": "a1b2c3d4e5"}}

    assert {"tokens": {**value["tokens"], "web": REDACTED}} == clean(value)


def test_names_that_are_the_same_without_their_secrets_are_kept_under_a_secret_name() -> None:
    value = {"credentials": {"token=a1": "b2c3d4", "token=e5": "f6g7h8"}}

    shown = f"token={REDACTED}"
    assert {"credentials": {shown: REDACTED, f"{shown} (1)": REDACTED}} == clean(value)
