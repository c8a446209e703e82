"""Secrets in XML and HTML, in multipart forms, in tables, and in SQL."""

from __future__ import annotations

import pytest

from audit_handler._record.redaction import REDACTED, Redactor
from audit_handler._record.redaction.documents import Documents
from audit_handler._record.redaction.names import SecretNames
from audit_handler._record.redaction.spans import without

documents = Documents(SecretNames())


def shown(text: str) -> str:
    return without(text, list(documents.spans(text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<a><password>x1</password></a>", f"<a><password>{REDACTED}</password></a>"),
        ('<s:Password Type="t">x1</s:Password>', f'<s:Password Type="t">{REDACTED}</s:Password>'),
        ("<password><![CDATA[x1]]></password>", f"<password>{REDACTED}</password>"),
        ("<secret><a>x1</a><b>y2</b></secret><c>z</c>", f"<secret>{REDACTED}</secret><c>z</c>"),
        ("<password>x1</x>", f"<password>{REDACTED}"),
        ('<param name="password">x1</param>', f'<param name="password">{REDACTED}</param>'),
        ("<p key='api_key'>x1</p>", f"<p key='api_key'>{REDACTED}</p>"),
        (
            "<name>password</name><value>x1</value>",
            f"<name>password</name><value>{REDACTED}</value>",
        ),
        (
            "<Key>db_password</Key>\n  <Value>x1</Value>",
            f"<Key>db_password</Key>\n  <Value>{REDACTED}</Value>",
        ),
        (
            "<token>a1</token><token>b2</token></x>",
            f"<token>{REDACTED}</token><token>{REDACTED}</token></x>",
        ),
    ],
)
def test_a_secret_element_is_found(text: str, expected: str) -> None:
    assert expected == shown(text)


@pytest.mark.parametrize(
    "text",
    [
        "<b>1</b>",
        "<password/></a>",
        "<password></password>",
        "<password>required</password>",
        "<token_type>bearer</token_type>",
        "<name>user</name><value>x1</value>",
        "<name>password</name>",
        '<param name="user">x1</param>',
        "<authorization><role>admin</role></authorization>",
        "a < b </ c",
    ],
)
def test_other_elements_stay(text: str) -> None:
    assert text == shown(text)


def part(name: str, value: str, more: str = "", end: str = "\r\n") -> str:
    return f"--b{end}Content-Disposition: form-data; name={name}{more}{end}{end}{value}{end}"


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("name", ['"password"', "password", '"user[api_key]"'])
def test_a_secret_part_of_a_form_is_found(name: str, end: str) -> None:
    parts = [part(name, value, end=end) for value in ("x1", REDACTED)]
    others = part('"user"', "ann", end=end), f"--b--{end}"

    assert parts[1].join(others) == shown(parts[0].join(others))


def test_a_secret_part_with_lines_and_headers_is_found_whole() -> None:
    more = '; filename="k"\r\nContent-Type: text/plain'

    assert part('"secret"', REDACTED, more) + "--b--" == shown(
        part('"secret"', "a\r\n\r\nb", more) + "--b--"
    )


@pytest.mark.parametrize("name", ['"user"', '"token_type"'])
def test_other_parts_of_a_form_stay(name: str) -> None:
    text = part(name, "x1") + "--b--"

    assert text == shown(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "id,password,user\n1,x1,ann\n2,y2,bob",
            f"id,password,user\n1,{REDACTED},ann\n2,{REDACTED},bob",
        ),
        ("id;password\r\n1;x1\r\n", f"id;password\r\n1;{REDACTED}\r\n"),
        ("password\tid\nx1\t1\n", f"password\tid\n{REDACTED}\t1\n"),
        ('"id","password"\n"1","a, ""b"""\n', f'"id","password"\n"1","{REDACTED}"\n'),
        ("\ufeffid,password\n1,x1\n", f"\ufeffid,password\n1,{REDACTED}\n"),
        ("report of users\n\nid,api key\n1,x1\n", f"report of users\n\nid,api key\n1,{REDACTED}\n"),
        (
            "id,password,token\n1,,t1\n2,required,t2\n",
            f"id,password,token\n1,,{REDACTED}\n2,required,{REDACTED}\n",
        ),
        ('id,password\n1,"a\nb"\n2,c\n', f'id,password\n1,"{REDACTED}"\n2,{REDACTED}\n'),
    ],
)
def test_a_secret_column_of_a_table_is_found(text: str, expected: str) -> None:
    assert expected == shown(text)


@pytest.mark.parametrize(
    "text",
    [
        "id,user\n1,ann\n",
        "id,token_type\n1,bearer\n",
        "no table\nid 1\n",
        "password\nx\n",
        "id,password",
    ],
)
def test_other_tables_and_texts_stay(text: str) -> None:
    assert text == shown(text)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("CREATE USER ann IDENTIFIED BY 'x1'", f"CREATE USER ann IDENTIFIED BY '{REDACTED}'"),
        ("alter user ann identified by x1;", f"alter user ann identified by {REDACTED};"),
        ("IDENTIFIED WITH sha256 BY 'it''s'", f"IDENTIFIED WITH sha256 BY '{REDACTED}'"),
        ("IDENTIFIED WITH caching AS 'x1'", f"IDENTIFIED WITH caching AS '{REDACTED}'"),
        (f"IDENTIFIED BY PASSWORD '*{'A1' * 20}'", f"IDENTIFIED BY PASSWORD '{REDACTED}'"),
        ("CREATE ROLE a PASSWORD 'x1' LOGIN", f"CREATE ROLE a PASSWORD '{REDACTED}' LOGIN"),
        ("SET PASSWORD FOR 'a'@'h' = 'x1'", f"SET PASSWORD FOR 'a'@'h' = '{REDACTED}'"),
        ("SET PASSWORD = PASSWORD('x1')", f"SET PASSWORD = PASSWORD('{REDACTED}')"),
        ("SELECT OLD_PASSWORD('x1')", f"SELECT OLD_PASSWORD('{REDACTED}')"),
        (
            "CREATE SECRET s (TYPE s3, SECRET 'x1')",
            f"CREATE SECRET s (TYPE s3, SECRET '{REDACTED}')",
        ),
        (
            "INSERT INTO u (name, password) VALUES ('a', 'x1'), ('b', 'y2')",
            f"INSERT INTO u (name, password) VALUES ('a', '{REDACTED}'), ('b', '{REDACTED}')",
        ),
        (
            "INSERT INTO u (`pin`, n) VALUES (1234, 5) RETURNING n",
            f"INSERT INTO u (`pin`, n) VALUES ({REDACTED}, 5) RETURNING n",
        ),
        (
            "insert into u (n, token) values (f(1, 2), 'it''s'); select 'a', 'b'",
            f"insert into u (n, token) values (f(1, 2), '{REDACTED}'); select 'a', 'b'",
        ),
    ],
)
def test_a_secret_in_a_statement_is_found(statement: str, expected: str) -> None:
    assert expected == shown(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT password FROM users WHERE id = '5'",
        "ALTER USER ann PASSWORD EXPIRE",
        "ALTER ROLE ann PASSWORD ''",
        "INSERT INTO u (name, password) VALUES ('a', NULL), ('b', ?), ('c', DEFAULT)",
        "INSERT INTO u (name, token_type) VALUES ('a', 'bearer')",
        "GRANT SELECT ON t TO 'ann'@'h'",
    ],
)
def test_other_statements_stay(statement: str) -> None:
    assert statement == shown(statement)


@pytest.mark.parametrize(
    "text",
    [
        "[SQL: INSERT INTO users (name, password) VALUES (?, ?)]\n[parameters: ('bob', '{}')]",
        'INSERT INTO "auth_user" ("password", "username") VALUES (\'{}\', \'bob\')',
        "auth=('bob', '{}')",
        "HTTPBasicAuth('bob', '{}')",
        "1 validation error\nuser.password\n  too short [type=a, input_value={}, input_type=str]",
        '[{{"loc":["body","password"],"msg":"too short","input":"{}',
    ],
)
def test_a_secret_that_a_failed_call_repeats_is_found(text: str) -> None:
    assert text.format(REDACTED) == Redactor().clean_text(text.format("Maple-otter12"))


@pytest.mark.parametrize("value", ["NULL", "?", "$1", ":token", "%s", "DEFAULT"])
def test_a_statement_without_its_values_stays(value: str) -> None:
    text = f"UPDATE users SET password = {value} WHERE id = 3"

    assert text == Redactor().clean_text(text)
