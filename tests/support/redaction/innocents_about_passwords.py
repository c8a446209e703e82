"""Innocents that describe passwords and credentials, and names that only look like theirs."""

from __future__ import annotations

from tests.support.redaction.values import BASE32, Listed, aws_key_id, hex32, hex40, token, uuid

INNOCENTS: Listed = {
    "about a password": [
        (
            "passwordResetRequired",
            {"x": {"passwordResetRequired": False}},
            '"passwordResetRequired":false',
        ),
        ("passwordLastUsed", {"x": {"passwordLastUsed": "2026-10-01T10:00:00Z"}}, "2026-10-01"),
        ("has_password", {"x": {"has_password": True}}, '"has_password":true'),
        ("passwordExpiryDays", {"x": {"passwordExpiryDays": 180}}, '"passwordExpiryDays":180'),
        ("PasswordLastSet", {"x": {"PasswordLastSet": "06.05.2026 11:38:15"}}, "11:38:15"),
        ("passwordStrength", {"x": {"passwordStrength": "MEDIUM"}}, "MEDIUM"),
        (
            "password_policy",
            {"x": {"password_policy": {"min_length": 12, "history": 5}}},
            '"min_length":12',
        ),
        ("weakPasswordReasons", {"x": {"weakPasswordReasons": ["REUSED"]}}, "REUSED"),
        ("passwordId", {"x": {"passwordId": "MADE"}}, "MADE", uuid),
        (
            "password_changed_at",
            {"x": {"password_changed_at": "2026-11-02T09:00:00Z"}},
            "2026-11-02T09:00:00Z",
        ),
        ("passwordPolicyId", {"x": {"passwordPolicyId": "pol-7"}}, "pol-7"),
        ("password_enabled", {"x": {"password_enabled": "true"}}, '"password_enabled":"true"'),
        (
            "minimumPasswordLength",
            {"x": {"minimumPasswordLength": 14}},
            '"minimumPasswordLength":14',
        ),
        (
            "failedPasswordAttempts",
            {"x": {"failedPasswordAttempts": 3}},
            '"failedPasswordAttempts":3',
        ),
        (
            "PASSWORD_EXPIRED",
            {"x": {"outcome": {"result": "FAILURE", "reason": "PASSWORD_EXPIRED"}}},
            "PASSWORD_EXPIRED",
        ),
        (
            "passwordProfile",
            {"x": {"passwordProfile": {"forceChangePasswordNextSignIn": True}}},
            '"forceChangePasswordNextSignIn":true',
        ),
        (
            "user.password.reset",
            {"x": {"eventType": "user.account.reset_password"}},
            "user.account.reset_password",
        ),
        (
            "password-never-expires",
            {"x": {"password-never-expires": False}},
            '"password-never-expires":false',
        ),
        ("passwordAlgorithm", {"x": {"passwordAlgorithm": "argon2id"}}, "argon2id"),
        (
            "password_reset_sent_to",
            {"x": {"password_reset_sent_to": "a@example.org"}},
            "a@example.org",
        ),
        ("passwordVersion", {"x": {"passwordVersion": 3}}, '"passwordVersion":3'),
        ("pwdLastSet", {"x": {"pwdLastSet": "133456789012345678"}}, "133456789012345678"),
        ("passwordManager", {"x": {"passwordManager": "1Password"}}, "1Password"),
        *(
            (f"from where: {text}", text, "from 203.0.113.7")
            for text in (
                "Invalid password from 203.0.113.7",
                "Failed password from 203.0.113.7 port 22",
                "Invalid API token from 203.0.113.7 for user ann",
                "password changed from 203.0.113.7 by kim",
                "JWT from 203.0.113.7:443 rejected: expired",
            )
        ),
        ("from where, IPv6", "failed password from 2001:db8::1 port 22", "2001:db8::1"),
        ("length, German", "Das Passwort ist 12 Zeichen lang", "ist 12 Zeichen"),
        ("length", "The password is 1024 characters long", "is 1024 characters"),
        ("age", "password is 90 days old", "is 90 days"),
        ("age of a token", "The token is 3600s valid", "is 3600s"),
        ("year", "the password from 2023 expired", "from 2023 expired"),
        ("hash", "The password is SHA-256 hashed", "is SHA-256"),
        ("longest", "8192 is your maximum password length", "8192 is your"),
        ("ticket", "Ticket 40213 is your password reset request", "40213 is"),
    ],
    "about credentials": [
        (
            "accessKeyId within",
            {"x": {"credentials": {"accessKeyId": "MADE", "expiration": "2026-11-26"}}},
            "MADE",
            aws_key_id,
        ),
        (
            "jti and scopes",
            {"x": {"auth": {"credentials": {"jti": "MADE", "scopes": ["read:users"]}}}},
            "MADE",
            hex32,
        ),
        (
            "api_key_created",
            {"x": {"api_key_created": {"id": "key-a1", "data": {"scopes": ["models:read"]}}}},
            "models:read",
        ),
        (
            "api_key of the actor",
            {"x": {"actor": {"api_key": {"id": "key-p1", "type": "user"}}}},
            "key-p1",
        ),
        ("api_key_id", {"x": {"api_key_id": "key_01ABC"}}, "key_01ABC"),
        ("private_key_type", {"x": {"private_key_type": "TYPE_PKCS12_FILE"}}, "TYPE_PKCS12_FILE"),
        ("recovery_codes_left", {"x": {"recovery_codes_left": 8}}, '"recovery_codes_left":8'),
        ("jwt_algorithm", {"x": {"jwt_algorithm": "RS256"}}, "RS256"),
        ("credentialId", {"x": {"credentialId": "cred-77"}}, "cred-77"),
        ("credential_type", {"x": {"credential_type": "hotp"}}, "hotp"),
        ("keyId", {"x": {"keyId": "arn:aws:kms:eu-central-1:111122223333:key/MADE"}}, "MADE", uuid),
        (
            "accessKeyId of the user",
            {"x": {"userIdentity": {"type": "IAMUser", "accessKeyId": "MADE"}}},
            "MADE",
            token("ASIA", 16, BASE32),
        ),
        (
            "accessKey's state",
            {"x": {"responseElements": {"accessKey": {"accessKeyId": "MADE", "status": "Active"}}}},
            "MADE",
            aws_key_id,
        ),
        (
            "credentials' expiration",
            {
                "x": {
                    "credentials": {"sessionToken": "MADE", "expiration": "Nov 26, 2026 9:00:00 PM"}
                }
            },
            "Nov 26, 2026 9:00:00 PM",
            token("", 60),
        ),
        (
            "serviceAccountKeyName",
            {
                "x": {
                    "authenticationInfo": {
                        "serviceAccountKeyName": (
                            "//iam.googleapis.com/projects/p/serviceAccounts/s/keys/MADE"
                        )
                    }
                }
            },
            "MADE",
            hex40,
        ),
        ("private_key_id", {"x": {"private_key_id": "MADE"}}, "MADE", hex40),
        ("apiKeyName", {"x": {"apiKeyName": "reporting"}}, "reporting"),
        ("api-key-status", {"x": {"api-key-status": "rotated"}}, "rotated"),
        (
            "keySpec",
            {"x": {"keySpec": "SYMMETRIC_DEFAULT", "keyUsage": "ENCRYPT_DECRYPT"}},
            "SYMMETRIC_DEFAULT",
        ),
        ("signing_key_id", {"x": {"signing_key_id": "kid-2026-11"}}, "kid-2026-11"),
        (
            "mfaUsed",
            {"x": {"additionalEventData": {"MFAUsed": "Yes", "MobileVersion": "No"}}},
            '"MFAUsed":"Yes"',
        ),
        ("otp_required", {"x": {"otp_required": True, "pin_length": 6}}, '"pin_length":6'),
        (
            "session_duration",
            {"x": {"session_duration": 900, "cookie_name": "sid"}},
            '"session_duration":900',
        ),
        ("certificate_serial", {"x": {"certificateSerialNumber": "0A1B2C"}}, "0A1B2C"),
    ],
    "look-alike": [
        ("cookie_consent", {"x": {"cookie_consent": "accepted"}}, "accepted"),
        ("secretary", {"x": {"secretary": "dept-7"}}, "dept-7"),
        ("author", {"x": {"author": "u-ann"}}, "u-ann"),
        ("classname", {"x": {"classname": "OrderService"}}, "OrderService"),
        ("CSSName", {"x": {"CSSName": "wide-blue"}}, "wide-blue"),
        ("passenger, compass", {"x": {"passenger": "seat 12A", "compass": "north"}}, "seat 12A"),
        ("pinned", {"x": {"pinned": "top", "opinion": "good"}}, "top"),
        ("passed, failed", {"x": {"pass": 41, "fail": 0}}, '"pass":41'),
        ("primary_key", {"x": {"primary_key": "order_id", "sort_key": "created"}}, "order_id"),
        ("bypass", {"x": {"bypass": "maintenance"}}, "maintenance"),
        ("tokenomics", {"x": {"tokenomics": "chapter 2", "region": "tokyo"}}, "chapter 2"),
        ("secretariat", {"x": {"secretariat": "UN-7"}}, "UN-7"),
        ("spinner", {"x": {"spinner": "dots"}}, "dots"),
        ("shopping, pinboard", {"x": {"shopping": "list-7", "pinboard": "board-1"}}, "list-7"),
        (
            "passage, passport_country",
            {"x": {"passage": "north wing", "passport_country": "DE"}},
            "north wing",
        ),
        ("company", {"x": {"company": "Pan Ltd", "panel": "left"}}, "Pan Ltd"),
        ("authority", {"x": {"authority": "city hall"}}, "city hall"),
        ("keyboard", {"x": {"keyboard": "de", "keyword": "shoes", "monkey": "george"}}, "shoes"),
        (
            "foreign_key",
            {"x": {"foreign_key": "customer_id", "partition_key": "tenant"}},
            "customer_id",
        ),
        ("idempotency_key", {"x": {"idempotency_key": "MADE"}}, "MADE", uuid),
        (
            "object key",
            {"x": {"s3": {"object": {"key": "in/report-7.pdf", "size": 10}}}},
            "in/report-7.pdf",
        ),
        ("cache_key", {"x": {"cache_key": "user:7:profile"}}, "user:7:profile"),
        ("issue's key", {"x": {"issue": {"key": "SHOP-77"}}}, "SHOP-77"),
        (
            "error_code",
            {"x": {"error_code": "E1042", "status_code": 403, "zip_code": "10115"}},
            "E1042",
        ),
        ("expanded", {"x": {"expanse": "wide", "span": "7d", "japan": "jp-1"}}, "7d"),
        ("cookies_policy", {"x": {"cookie_policy_version": "2026-1"}}, "2026-1"),
    ],
}
