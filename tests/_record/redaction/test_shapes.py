"""Secrets that show by their shape, whatever stands around them."""

from __future__ import annotations

import base64
from random import Random

import pytest

from audit_handler._record.redaction import REDACTED
from audit_handler._record.redaction.shapes import SHAPES, shapes_in
from audit_handler._record.redaction.spans import without
from tests.support.redaction.values import luhn, text

R = Random(12)


def shown(value: str) -> str:
    return without(value, list(shapes_in(value)))


def made(length: int) -> str:
    return text(R, length)


KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{made(64)}\n{made(30)}\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"a {KEY} b", f"a {REDACTED} b"),
        (f"a\n{KEY}\n{KEY}\nb", f"a\n{REDACTED}\n{REDACTED}\nb"),
        # Without its end, all that follows may be the key.
        (f"a {KEY[:60]} b", f"a {REDACTED}"),
        (KEY.replace("RSA ", ""), REDACTED),
        (KEY.replace("RSA PRIVATE KEY", "PGP PRIVATE KEY BLOCK"), REDACTED),
        (KEY.replace("RSA ", "OPENSSH "), REDACTED),
    ],
)
def test_a_private_key_is_found(value: str, expected: str) -> None:
    assert expected == shown(value)


@pytest.mark.parametrize("kind", ["PUBLIC KEY", "CERTIFICATE", "CERTIFICATE REQUEST"])
def test_a_public_key_or_certificate_stays(kind: str) -> None:
    value = KEY.replace("RSA PRIVATE KEY", kind)

    assert value == shown(value)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("ghp_" + made(36), id="GitHub"),
        pytest.param("github_pat_" + made(22), id="GitHub, fine-grained"),
        pytest.param("glpat-" + made(20), id="GitLab"),
        pytest.param("xoxb-" + made(30), id="Slack"),
        pytest.param("sk_" + "live_" + made(24), id="Stripe"),
        pytest.param("AIza" + made(35), id="Google"),
        pytest.param("npm_" + made(36), id="npm"),
        pytest.param("pypi-" + made(60), id="PyPI"),
        pytest.param("hvs." + made(24), id="Vault"),
        pytest.param(f"SG.{made(22)}.{made(43)}", id="SendGrid"),
        pytest.param(f"eyJ{made(20)}.eyJ{made(20)}.{made(43)}", id="JWT"),
        pytest.param(f"eyJ{made(20)}.eyJ{made(20)}.", id="JWT without a signature"),
        pytest.param(f"eyJ{made(20)}..{made(16)}.{made(30)}.{made(22)}", id="JWE"),
        pytest.param("$2b$12$" + made(53), id="bcrypt"),
        pytest.param("$6$" + made(8) + "$" + made(86), id="SHA-512 crypt"),
        pytest.param("$argon2id$v=19$m=65536,t=3,p=4$" + made(22) + "$" + made(43), id="Argon2"),
    ],
)
@pytest.mark.parametrize(
    "around", ["{}", "a {} b", '"{}"', "x={}&y", "\u00e9{}", "({}),", "\n{}\n"]
)
def test_a_token_is_found_and_what_stands_around_it_stays(token: str, around: str) -> None:
    assert around.format(REDACTED) == shown(around.format(token))


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        ("https://hooks.slack.com/services/T0AB/B0CD/x1y2z3", "services/T0AB/B0CD/x1y2z3"),
        ("https://discord.com/api/webhooks/123/x1-y2", "123/x1-y2"),
        (
            "https://a.webhook.office.com/webhookb2/a@b/IncomingWebhook/c",
            "webhookb2/a@b/IncomingWebhook/c",
        ),
        ("https://hooks.zapier.com/hooks/catch/1/a2b", "1/a2b"),
    ],
)
def test_the_path_of_a_webhook_is_secret_and_its_host_stays(value: str, secret: str) -> None:
    assert value.replace(secret, REDACTED) == shown(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("postgres://app:hunter2@db/shop", f"postgres://app:{REDACTED}@db/shop"),
        ("redis://:hunter2@r:6379/0", f"redis://:{REDACTED}@r:6379/0"),
        ("a://b:x@y@db", f"a://b:{REDACTED}@db"),
        ("https://abcdefgh12345678@git.example/x", f"https://{REDACTED}@git.example/x"),
        (
            "https://a1b2c3:x-oauth-basic@git.example",
            f"https://{REDACTED}:x-oauth-basic@git.example",
        ),
        (
            "jdbc:oracle:thin:scott/tiger@//db:1521/x",
            f"jdbc:oracle:thin:scott/{REDACTED}@//db:1521/x",
        ),
    ],
)
def test_a_password_in_a_url_is_found(value: str, expected: str) -> None:
    assert expected == shown(value)


@pytest.mark.parametrize(
    "value",
    [
        "https://ann@git.example/x",
        "ssh://git@git.example:22/x",
        "https://x.example:8443/a@b",
        "mailto:ann@x.example",
        "jdbc:oracle:thin:@//db:1521/x",
        "a://b c:d@e",
    ],
)
def test_a_user_in_a_url_stays(value: str) -> None:
    assert value == shown(value)


BASIC = base64.b64encode(b"ann:hunter22").decode()


@pytest.mark.parametrize(
    "value",
    [f"Basic {BASIC}", "bearer a1b2c3d4e5f6", "ApiKey a1b2c3d4e5f6=="],
)
def test_the_value_of_http_authentication_is_found(value: str) -> None:
    scheme = value[: value.rindex(" ") + 1]

    assert f"sent {scheme}{REDACTED} to x" == shown(f"sent {value} to x")


@pytest.mark.parametrize(
    "value",
    [
        "Basic subscription",
        "Basic YWJjZGVmZ2g=",
        "the bearer of this badge",
        'Bearer realm="api", error="invalid_token"',
        'Digest username="ann"',
        "token expired",
        "Bearer short1",
        "token authentication",
    ],
)
def test_a_scheme_before_a_word_stays(value: str) -> None:
    assert value == shown(value)


CARDS = {
    "Visa": ("4", 16),
    "Visa of 13 digits": ("4", 13),
    "Mastercard": ("53", 16),
    "Mastercard of 2017": ("2221", 16),
    "American Express": ("37", 15),
    "Discover": ("6011", 16),
    "Diners Club": ("36", 14),
    "JCB": ("3530", 16),
    "UnionPay": ("62", 19),
}


@pytest.mark.parametrize("issuer", CARDS)
def test_a_card_is_found(issuer: str) -> None:
    card = luhn(*CARDS[issuer])(R)

    assert f"paid with card {REDACTED}." == shown(f"paid with card {card}.")


@pytest.mark.parametrize("issuer", ["Visa of 13 digits", "Diners Club"])
def test_a_short_card_needs_a_word_beside_it(issuer: str) -> None:
    number = luhn(*CARDS[issuer])(R)

    assert f"order {number}" == shown(f"order {number}")


@pytest.mark.parametrize("scheme", ["Token", "Digest"])
def test_a_scheme_that_is_a_common_word_needs_a_sign_before_it(scheme: str) -> None:
    assert f"{scheme} a1b2c3d4e5f6 revoked" == shown(f"The {scheme} a1b2c3d4e5f6 revoked")[4:]
    assert f"x: {scheme} {REDACTED}" == shown(f"x: {scheme} a1b2c3d4e5f6")


@pytest.mark.parametrize("path", ["/reset-password/", "/confirm/ann/", "/magic-link/"])
def test_the_last_part_of_a_link_that_lets_in_is_found(path: str) -> None:
    assert f"GET {path}{REDACTED}" == shown(f"GET {path}{made(24)}1a")


@pytest.mark.parametrize("sign", [" ", "-"])
def test_a_card_in_groups_is_found(sign: str) -> None:
    visa = luhn("4", 16, sign)(R)

    assert f"card: {REDACTED}, EUR" == shown(f"card: {visa}, EUR")
    assert f"card: {REDACTED}" == shown(f"card: 3782{sign}822463{sign}10005")


@pytest.mark.parametrize(
    "value",
    [
        "4111111111111112",  # another check digit
        "9111111111111111",  # no issuer
        "41111111111111111111",  # too long
        "id-4111111111111111",
        "4111111111111111-x",
        "v4111111111111111",
        "1.4111111111111111",
        "4111111111111111.5",
        "4111 1111-1111 1111",
        "4111 1111 1111",
    ],
)
def test_other_digits_stay(value: str) -> None:
    assert value == shown(value)


@pytest.mark.parametrize(
    "value",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ASIAIOSFODNN7EXAMPLE",
        "d41d8cd98f00b204e9800998ecf8427e",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "9b2d8f3e-6a47-4c1b-8f0e-2d5c7a9b1e34",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "SHA256:" + made(43),
        "aGVsbG8gd29ybGQsIHRoaXMgaXMgbm8gc2VjcmV0Lg==",
        "sk-learn",
        "ghp_short",
        "eyJ.a.b",
        "s.example.com/abc",
        "$6 $5.00 a$b",
        "x" * 500,
    ],
)
def test_ids_hashes_and_long_words_stay(value: str) -> None:
    assert value == shown(value)


def test_each_shape_has_a_name_and_is_used() -> None:
    assert 9 == len(SHAPES)
    value = f"{KEY} hvs.{made(24)} $2b$12${made(53)} a://b:c@d bearer a1b2c3d4e5f6 4111111111111111"
    value += f" /reset/{made(20)}1a _auth=YW5uOmh1bnRlcjI= 4539908240759437=28121010000"

    assert [1] * 9 == [len(list(find(value))) for find in SHAPES.values()]
