"""Secrets among the arguments of commands, in a line and in a list."""

from __future__ import annotations

import pytest

from audit_handler._record.redaction import REDACTED, Redactor
from audit_handler._record.redaction.names import SecretNames
from audit_handler._record.redaction.options import Options
from audit_handler._record.redaction.spans import without

names = SecretNames()
options = Options(names)


def shown(text: str) -> str:
    return without(text, list(options.spans(text)))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("run --password hunter2 --verbose", f"run --password {REDACTED} --verbose"),
        ("run -token hunter2", f"run -token {REDACTED}"),
        ("run --api-key 'a b' x", f"run --api-key '{REDACTED}' x"),
        ("run --db.password hunter2", f"run --db.password {REDACTED}"),
        ("(run --secret hunter2)", f"(run --secret {REDACTED}"),
        ("curl -u ann:hunter2 https://x/", f"curl -u ann:{REDACTED} https://x/"),
        ("curl --user 'ann:hunter2' https://x/", f"curl --user 'ann:{REDACTED}' https://x/"),
        ("curl -uann:hunter2 https://x/", f"curl -uann:{REDACTED} https://x/"),
        ("curl -x p --proxy-user ann:hunter2", f"curl -x p --proxy-user ann:{REDACTED}"),
        ("http -a ann:hunter2 https://x/", f"http -a ann:{REDACTED} https://x/"),
        ("sshpass -p hunter2 ssh db", f"sshpass -p {REDACTED} ssh db"),
        ("mysqldump -h db -phunter2 shop", f"mysqldump -h db -p{REDACTED} shop"),
        ("redis-cli -h r -a hunter2 ping", f"redis-cli -h r -a {REDACTED} ping"),
        ("docker login -u ann -p hunter2 r.io", f"docker login -u ann -p {REDACTED} r.io"),
        ("helm registry login -u a -p hunter2 r", f"helm registry login -u a -p {REDACTED} r"),
        ("az login -u ann -p hunter2", f"az login -u ann -p {REDACTED}"),
        (
            "az keyvault secret set --name x --value hunter2",
            f"az keyvault secret set --name x --value {REDACTED}",
        ),
        ("ldapsearch -D cn=a -w hunter2 -b x", f"ldapsearch -D cn=a -w {REDACTED} -b x"),
        ("sqlcmd -S db -U sa -P hunter2", f"sqlcmd -S db -U sa -P {REDACTED}"),
        ("mongosh -u ann -p hunter2 db", f"mongosh -u ann -p {REDACTED} db"),
        ("mosquitto_pub -u ann -P hunter2", f"mosquitto_pub -u ann -P {REDACTED}"),
        ("htpasswd -b users ann hunter2", f"htpasswd -b users ann {REDACTED}"),
        ("net user ann hunter2 /add", f"net user ann {REDACTED} /add"),
        (
            "kubectl create secret generic x --from-literal=key=hunter2 -n y",
            f"kubectl create secret generic x --from-literal=key={REDACTED} -n y",
        ),
        (
            "echo hunter2 | docker login --password-stdin",
            f"echo {REDACTED} | docker login --password-stdin",
        ),
        (
            "ConvertTo-SecureString -AsPlainText hunter2",
            f"ConvertTo-SecureString -AsPlainText {REDACTED}",
        ),
        ("heroku config:set X; npm config set _authToken abc1", None),
        (
            "aws configure set aws_secret_access_key a1",
            f"aws configure set aws_secret_access_key {REDACTED}",
        ),
    ],
)
def test_a_secret_argument_is_found(line: str, expected: str | None) -> None:
    if expected is None:
        expected = line.replace("abc1", REDACTED)

    assert expected == shown(line)


@pytest.mark.parametrize(
    "line",
    [
        "run --password --verbose",
        "run --password",
        "run --no-password x",
        "run --token-type bearer",
        "run --password-stdin x",
        "run --password required",
        "run --password '****'",
        "docker run -u 1000:1000 -p 8080:80 web",
        "docker run -p 8080:80 login",
        "curl -u ann https://x:443/",
        "ssh -p 22 db",
        "mysql -p shop",
        "net user ann /delete",
        "net user ann *",
        "a well-known -p x",
        "echo hello | grep h",
    ],
)
def test_an_innocent_argument_stays(line: str) -> None:
    assert line == shown(line)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--password", "hunter2", "-v"], ["run", "--password", REDACTED, "-v"]),
        (["run", "--password=hunter2", "-v"], ["run", f"--password={REDACTED}", "-v"]),
        (["curl", "-u", "ann:hunter2", "x"], ["curl", "-u", f"ann:{REDACTED}", "x"]),
        (["mysql", "-phunter2"], ["mysql", f"-p{REDACTED}"]),
        (["sshpass", "-p", "a b", "ssh"], ["sshpass", "-p", REDACTED, "ssh"]),
        (
            ["run", "--password", "a", "--token", "b1"],
            ["run", "--password", REDACTED, "--token", REDACTED],
        ),
        (["run", 5, "--secret", "x1", None], ["run", 5, "--secret", REDACTED, None]),
        (["run", "--db.password", "hunter2"], ["run", "--db.password", REDACTED]),
        (["run", "--verbose", "password"], ["run", "--verbose", "password"]),
        (["-v"], ["-v"]),
    ],
)
def test_a_secret_in_a_list_of_arguments_is_found(
    arguments: list[object], expected: list[object]
) -> None:
    redactor = Redactor()

    assert {"argv": expected} == redactor.clean({"argv": arguments})


def test_a_secret_argument_with_a_space_is_redacted_whole() -> None:
    arguments = ["run", "--password", "correct horse battery", "--verbose"]

    assert ["run", "--password", REDACTED, "--verbose"] == Redactor().clean(arguments)


def test_a_list_of_arguments_without_a_secret_is_the_same_list() -> None:
    arguments = ["run", "-v", "x"]

    assert arguments is options.redacted(arguments)
