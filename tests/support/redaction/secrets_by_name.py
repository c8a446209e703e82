"""Secrets that the name of a key or of a header gives away."""

from __future__ import annotations

from tests.support.redaction.values import (
    HEX,
    Listed,
    aws_secret,
    base64_of,
    basic,
    bcrypt,
    digits,
    hex32,
    hex40,
    hex64,
    luhn,
    token,
    totp,
    uuid,
    words,
)

SECRETS: Listed = {
    "key": [
        ("pass", {"login": {"user": "ann", "pass": "MADE"}}),
        ("passcode", {"x": {"user_passcode": "MADE"}}),
        ("pw", {"x": {"pw": "MADE"}}),
        ("access_key", {"x": {"access_key": "MADE"}}, aws_secret),
        ("signing_key", {"new_value": {"signing_key": "MADE"}}, base64_of(32)),
        ("encryption_key", {"new_value": {"encryption_key": "MADE"}}, hex64),
        ("recovery_codes", {"response_body": {"recovery_codes": ["MADE", "0000-0000"]}}),
        ("security_code", {"x": {"security_code": "MADE"}}, digits(4)),
        ("cvc", {"request_body": {"card": {"cvc": "MADE"}}}, digits(4)),
        ("otp", {"x": {"otp": "MADE"}}, digits(6)),
        ("pin", {"x": {"pin": "MADE"}}, digits(6)),
        ("mfa_code", {"request_body": {"user": "ann", "mfa_code": "MADE"}}, digits(6)),
        ("jwt", {"x": {"jwt": "MADE"}}, hex64),
        ("csrf", {"request_body": {"csrf": "MADE", "title": "t"}}, hex32),
        ("client_assertion", {"x": {"client_assertion": "MADE"}}, base64_of(120)),
        ("credential", {"x": {"user": "ann", "credential": "MADE"}}),
        ("connectionString", {"x": {"connectionString": "app/MADE@//db:1521/shop"}}),
        ("SAMLResponse", {"request_body": {"SAMLResponse": "MADE"}}, base64_of(200)),
        ("deviceCode", {"x": {"deviceCode": "MADE"}}, token("", 40)),
        ("pan", {"x": {"pan": "MADE"}}, luhn("5555", 16)),
        ("social_security_number", {"x": {"social_security_number": "987-65-MADE"}}, digits(4)),
        ("a key of redact_keys", {"x": {"contrase\u00f1a": "MADE"}}),
        ("master_key", {"x": {"master_key": "MADE"}}, base64_of(48)),
        ("account_key", {"x": {"account_key": "MADE"}}, base64_of(48)),
        ("newPassword", {"new_value": {"newPassword": "MADE"}}),
        ("user[password]", {"request_body": {"user[password]": "MADE"}}),
        ("a list of tokens", {"x": {"tokens": ["MADE", "other"]}}, hex40),
        (
            "secretAccessKey in credentials",
            {"x": {"credentials": {"expiration": "2026-11-26", "secretAccessKey": "MADE"}}},
            aws_secret,
        ),
        ("an object under password", {"x": {"password": {"value": "MADE", "temporary": False}}}),
        ("passwordData", {"x": {"passwordData": "MADE"}}, base64_of(64)),
        ("USER_PASSWORD", {"x": {"USER_PASSWORD": "MADE"}}),
        ("db.password", {"x": {"db.password": "MADE", "db.user": "app"}}),
        ("admin-passwd", {"new_value": {"admin-passwd": "MADE"}}),
        (
            "passwordConfirmation",
            {"request_body": {"user": {"email": "a@b.org", "passwordConfirmation": "MADE"}}},
        ),
        (
            "masterUserPassword",
            {"request_body": {"dBInstanceIdentifier": "shop", "masterUserPassword": "MADE"}},
        ),
        (
            "temporaryPassword",
            {"x": {"requestParameters": {"username": "ann", "temporaryPassword": "MADE"}}},
        ),
        ("unlockPin", {"x": {"device": {"unlockPin": "#MADE"}}}, digits(6)),
        ("PIN in a list", {"x": [{"cards": [{"PIN": "MADE"}]}]}, digits(5)),
        ("otpCode", {"request_body": {"otpCode": "MADE", "channel": "sms"}}, digits(6)),
        ("one-time-password", {"request_body": {"one-time-password": "MADE"}}, digits(8)),
        ("totp_secret", {"new_value": {"totp_secret": "MADE"}}, totp),
        ("backupCodes", {"response_body": {"data": {"backupCodes": ["1111-2222", "MADE"]}}}),
        (
            "verification_code",
            {"request_body": {"phone": "+49301234", "verification_code": "MADE"}},
            digits(6),
        ),
        ("cvv2", {"request_body": {"payment": {"source": {"cvv2": "MADE"}}}}, digits(4)),
        ("cardNumber", {"x": {"cardNumber": "#MADE"}}, luhn("411122", 16)),
        ("primary_account_number", {"x": {"primary_account_number": "MADE"}}, luhn("520082", 16)),
        ("ssn", {"new_value": {"person": {"ssn": "MADE"}}}, digits(9)),
        (
            "clientSecret",
            {"x": {"oidc": {"clientId": "shop", "clientSecret": "MADE"}}},
            token("", 40),
        ),
        (
            "client-secret, deep in lists",
            {"x": [[{"apps": [{"client-secret": "MADE"}]}]]},
            token("", 36),
        ),
        (
            "webhookSecret",
            {"new_value": {"config": {"url": "https://h.example.org", "webhookSecret": "MADE"}}},
            hex40,
        ),
        ("X_API_KEY", {"x": {"X_API_KEY": "MADE"}}, hex32),
        ("apikey", {"request_body": {"apikey": "MADE"}}, token("", 32)),
        (
            "refreshToken",
            {"response_body": {"refreshToken": "MADE", "expiresIn": 3600}},
            token("", 60),
        ),
        ("id_token_hint", {"x": {"id_token_hint": "MADE"}}, token("", 80)),
        (
            "sessionToken",
            {"x": {"credentials": {"accessKeyId": "ASIAQ7", "sessionToken": "MADE"}}},
            base64_of(150),
        ),
        (
            "unseal_keys_b64",
            {"response_body": {"unseal_keys_b64": ["MADE", "a"], "unseal_threshold": 3}},
            base64_of(33),
        ),
        ("root_token", {"response_body": {"root_token": "MADE"}}, token("s.", 24)),
        (
            "primaryConnectionString",
            {"response_body": {"primaryConnectionString": "app/MADE@//db/x"}},
        ),
        (
            "PrivateKey",
            {"x": {"WireGuard": {"PrivateKey": "MADE", "Address": "10.0.0.2/32"}}},
            base64_of(32),
        ),
        ("presharedKey", {"x": {"vpn": {"presharedKey": "MADE"}}}, token("", 32)),
        ("secret_key_base", {"x": {"secret_key_base": "MADE"}}, token("", 128, HEX)),
        (
            "SECRET_KEY",
            {"x": {"settings": {"SECRET_KEY": "MADE", "DEBUG": False}}},
            token("django-insecure-", 50),
        ),
        ("bindPassword", {"new_value": {"ldap": {"bindDn": "cn=svc", "bindPassword": "MADE"}}}),
        (
            "password in credentials",
            {"x": {"credentials": {"username": "svc", "password": "MADE"}}},
        ),
        ("smtp-password", {"x": {"smtp-password": "MADE"}}),
        ("a key of redact_keys, decomposed", {"x": {"contrasen\u0303a": "MADE"}}),
        ("a key of redact_keys, upper case", {"request_body": {"CONTRASE\u00d1A": "MADE"}}),
        ("password_hash", {"old_value": {"id": 7, "password_hash": "MADE"}}, bcrypt),
        ("xsrfToken", {"request_body": {"xsrfToken": "MADE"}}, hex32),
        ("mnemonic seed", {"x": {"wallet": {"seed_phrase": "MADE"}}}, words),
        ("value in api_key", {"x": {"api_key": {"id": "key-7", "value": "MADE"}}}, token("", 40)),
        ("authToken", {"x": {"twilio": {"accountSid": "AC1", "authToken": "MADE"}}}, hex32),
    ],
    "header": [
        ("X-Auth-Key", {"request_headers": {"Host": "h", "X-Auth-Key": "MADE"}}, hex40),
        (
            "Ocp-Apim-Subscription-Key",
            {"request_headers": {"Ocp-Apim-Subscription-Key": "MADE"}},
            hex32,
        ),
        ("DPoP", {"request_headers": {"DPoP": "MADE"}}, base64_of(60)),
        ("Proxy-Authorization", {"request_headers": {"Proxy-Authorization": "Basic MADE"}}, basic),
        (
            "a header with a flag behind it",
            {"x": [["Host", "h", 1], ["Authorization", "MADE", 0]]},
            token("", 30),
        ),
        ("a line of Set-Cookie", "Set-Cookie: sid=MADE; Path=/; HttpOnly", hex32),
        ("X-Consul-Token", {"request_headers": {"X-Consul-Token": "MADE"}}, uuid),
        (
            "a list of values",
            {"response_headers": {"set-cookie": ["a=1", "sid=MADE; Secure"]}},
            hex32,
        ),
        (
            "Authorization, token",
            {"request_headers": {"Authorization": "token MADE", "Accept": "*/*"}},
            hex40,
        ),
        ("lower case", {"request_headers": {"authorization": "Bearer MADE"}}, token("", 48)),
        ("X-API-Key", {"request_headers": {"X-API-Key": "MADE"}}, token("", 32)),
        ("X-Vault-Token", {"request_headers": {"X-Vault-Token": "MADE"}}, token("s.", 24)),
        (
            "X-Amz-Security-Token",
            {"request_headers": {"X-Amz-Security-Token": "MADE"}},
            base64_of(200),
        ),
        ("PRIVATE-TOKEN", {"request_headers": {"PRIVATE-TOKEN": "MADE"}}, token("", 20)),
        (
            "Cookie",
            {"request_headers": {"Cookie": "theme=dark; JSESSIONID=MADE"}},
            token("", 32, "0123456789ABCDEF"),
        ),
        ("api-key", {"request_headers": {"api-key": "MADE", "Host": "x.openai.azure.com"}}, hex32),
        ("X-CSRF-Token", {"request_headers": {"X-CSRF-Token": "MADE"}}, token("", 43)),
        (
            "X-Goog-Api-Key",
            {"request_headers": [["x-goog-api-key", "MADE"], ["host", "h"]]},
            token("", 39),
        ),
        ("X-Shopify-Access-Token", "POST /admin/api X-Shopify-Access-Token: MADE", hex32),
        (
            "X-Figma-Token",
            {"x": {"headers": [{"name": "X-Figma-Token", "value": "MADE"}]}},
            token("", 40),
        ),
        (
            "raw lines",
            {"x": {"raw": "GET / HTTP/1.1\r\nHost: h\r\nX-Auth-Token: MADE\r\n\r\n"}},
            token("", 40),
        ),
        (
            "AWS4",
            {
                "request_headers": {
                    "Authorization": (
                        "AWS4-HMAC-SHA256 Credential=AKIA/20261126/eu/s3/aws4_re"
                        "quest, SignedHeaders=host, Signature=MADE"
                    )
                }
            },
            hex64,
        ),
        (
            "Digest",
            {
                "request_headers": {
                    "Authorization": 'Digest username="ann", realm="r", response="MADE"'
                }
            },
            hex32,
        ),
        (
            "API Gateway, multiValueHeaders",
            {"x": {"multiValueHeaders": {"x-api-key": ["MADE"], "Accept": ["*/*"]}}},
            token("", 40),
        ),
        (
            "WSGI",
            {"x": {"environ": {"HTTP_AUTHORIZATION": "Bearer MADE", "HTTP_HOST": "h"}}},
            token("", 40),
        ),
        ("Cloudflare Access", {"request_headers": {"CF-Access-Client-Secret": "MADE"}}, hex64),
        ("DD-API-KEY", {"x": {"DD-API-KEY": "MADE"}}, hex32),
        (
            "bytes of an ASGI scope",
            "scope headers [(b'host', b'h'), (b'authorization', b'Bearer MADE')]",
            token("", 40),
        ),
    ],
}
