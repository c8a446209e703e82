"""Innocents that must stay as they were: labels, JSON text, the neighbours of a secret."""

from __future__ import annotations

from tests.support.redaction.values import Listed, aws_secret, hex32, jwt, luhn, sas, token

INNOCENTS: Listed = {
    "label": [
        ("Is CAE Token", {"x": [{"key": "Is CAE Token", "value": "False"}]}, '"value":"False"'),
        ("tokenType", {"x": [{"name": "tokenType", "value": "refresh"}]}, "refresh"),
        (
            "passwordLastChanged",
            {"x": [{"field": "passwordLastChanged", "old": "2026-01-01", "new": "2026-11-26"}]},
            "2026-11-26",
        ),
        (
            "path of a policy",
            {"x": [{"op": "replace", "path": "/passwordPolicy/minLength", "value": 14}]},
            '"value":14',
        ),
        (
            "password missing",
            {"response_body": {"detail": [{"loc": ["body", "password"], "msg": "Field required"}]}},
            "Field required",
        ),
        (
            "env, reference",
            {
                "x": {
                    "env": [
                        {
                            "name": "DB_PASSWORD",
                            "valueFrom": {"secretKeyRef": {"name": "db-eu", "key": "pw"}},
                        }
                    ]
                }
            },
            "db-eu",
        ),
        ("tag", {"x": {"tags": [{"Key": "secret-owner", "Value": "team-pay"}]}}, "team-pay"),
        ("expiry", {"x": [{"name": "tokenExpiresAt", "value": "2026-12-01"}]}, "2026-12-01"),
        (
            "Entra's CAE",
            {
                "x": {
                    "authenticationProcessingDetails": [
                        {"key": "Legacy TLS (TLS 1.0, 1.1, 3DES)", "value": "False"},
                        {"key": "Oauth Scope Info", "value": '["User.Read"]'},
                    ]
                }
            },
            "User.Read",
        ),
        (
            "header",
            {
                "x": {
                    "headers": [
                        {"name": "Content-Type", "value": "application/json"},
                        {"name": "X-Request-Id", "value": "r-78"},
                    ]
                }
            },
            "r-78",
        ),
        (
            "password policy's change",
            {"x": [{"field": "passwordExpiryDays", "from": 90, "to": 180}]},
            '"to":180',
        ),
        (
            "field's type",
            {"x": {"fields": [{"id": "password", "type": "password", "required": True}]}},
            '"required":true',
        ),
        (
            "primary key",
            {"x": {"keys": [{"name": "primary_key", "value": "order_id"}]}},
            "order_id",
        ),
        (
            "attribute",
            {"x": {"attributes": [{"key": "auth.method", "value": {"stringValue": "oidc"}}]}},
            "oidc",
        ),
        ("status", {"x": {"factors": [{"name": "password", "status": "ACTIVE"}]}}, "ACTIVE"),
        (
            "patch of MFA",
            {"x": [{"op": "replace", "path": "/mfa/required", "value": "always"}]},
            "always",
        ),
        (
            "token count",
            {"x": {"metrics": [{"name": "max_tokens", "value": 2048}]}},
            '"value":2048',
        ),
        (
            "validation",
            {
                "response_body": {
                    "errors": [
                        {
                            "field": "password",
                            "code": "too_short",
                            "message": "12 characters at least",
                        }
                    ]
                }
            },
            "12 characters at least",
        ),
    ],
    "JSON text as it was": [
        (
            "spaces",
            '{ "event" : "PasswordReset", "n" : 1.0 }',
            '{ "event" : "PasswordReset", "n" : 1.0 }',
        ),
        (
            "same name twice",
            {"request_body": '{"tokenType":"a","tokenType":"b"}'},
            '{"tokenType":"a","tokenType":"b"}',
        ),
        ("1e999", {"request_body": '{"max_tokens":1e999}'}, '{"max_tokens":1e999}'),
        (
            "null",
            {"request_body": '{"password": null, "n": 1.50}'},
            '{"password": null, "n": 1.50}',
        ),
        (
            "escapes",
            '{"event": "Token\\u0020refreshed", "by": "\\/ann"}',
            '{"event": "Token\\u0020refreshed", "by": "\\/ann"}',
        ),
        (
            "indent",
            {"request_body": '{\n    "user": "ann",\n    "n": 1\n}'},
            '{\n    "user": "ann",\n    "n": 1\n}',
        ),
        (
            "big number",
            {"request_body": '{"id":12345678901234567890123,"token_type":"Bearer"}'},
            '{"id":12345678901234567890123,"token_type":"Bearer"}',
        ),
        (
            "1.10",
            {"request_body": '{"price": 1.10, "passwordExpired" : false}'},
            '{"price": 1.10, "passwordExpired" : false}',
        ),
        (
            "order",
            {"response_body": '{"z":1,"a":2,"secretName":"db"}'},
            '{"z":1,"a":2,"secretName":"db"}',
        ),
        (
            "letters",
            {"response_body": '{"name":"J\\u00fcrgen","token_type":"jwt"}'},
            '{"name":"J\\u00fcrgen","token_type":"jwt"}',
        ),
        (
            "exponent",
            {"request_body": '{"total_tokens":1.5E+3, "x":[ ]}'},
            '{"total_tokens":1.5E+3, "x":[ ]}',
        ),
        (
            "empty secret",
            {"request_body": '{"password" : "" , "user":"ann"}'},
            '{"password" : "" , "user":"ann"}',
        ),
        ("in a message", 'got {"has_password" :true, "n":2}', '{"has_password" :true, "n":2}'),
        ("lines", {"request_body": '{"id": 1}\n{"id":  2}\n'}, '{"id":  2}'),
        (
            "true",
            {"request_body": '{"token": true,  "secrets": []}'},
            '{"token": true,  "secrets": []}',
        ),
        (
            "text in text",
            {"x": {"m": '{"d":"{\\"tokenType\\" : \\"Bearer\\"}"}'}},
            '{"d":"{\\"tokenType\\" : \\"Bearer\\"}"}',
        ),
        (
            "slash",
            {"response_body": '{"url":"https:\\/\\/api.example.org\\/v1","max_tokens": 5}'},
            '{"url":"https:\\/\\/api.example.org\\/v1","max_tokens": 5}',
        ),
    ],
    "beside a secret": [
        (
            "key id",
            {"x": {"credentials": {"accessKeyId": "AKIAEXAMPLE7", "secretAccessKey": "MADE"}}},
            "AKIAEXAMPLE7",
            aws_secret,
        ),
        ("next line", "user: ann\npassword: correct horse MADE\nhost: db-eu", "host: db-eu"),
        ("form", {"request_body": "user=u-ann&password=MADE&remember=1"}, "user=u-ann"),
        ("words beside a JWT", "verified MADE for u-ann", "for u-ann", jwt),
        (
            "command",
            "curl -u svc:MADE https://api.example.org/v1/orders",
            "https://api.example.org/v1/orders",
        ),
        ("neighbour in JSON", {"request_body": {"user": "u-ann", "pass": "MADE"}}, "u-ann"),
        (
            "host of a connection",
            {"x": {"cs": "Server=db-eu;User Id=app;Password=MADE"}},
            "Server=db-eu",
        ),
        (
            "host behind a token",
            {"x": ["https://x-access-token:MADE@git.example.org/r"]},
            "@git.example.org/r",
        ),
        ("other header", "Authorization: Bearer MADE\r\nX-Request-Id: r-77", "r-77", token("", 40)),
        (
            "address behind a header in quotes",
            r'curl -H "Authorization: Digest username=\"ann\", response=\"MADE\"" https://h/a',
            "https://h/a",
            hex32,
        ),
        (
            "YAML",
            {"request_body": "database:\n  host: db-eu\n  password: MADE\n  pool: 17\n"},
            "pool: 17",
        ),
        ("YAML, block", {"request_body": "password: |\n  MADE\nrole: auditor\n"}, "role: auditor"),
        (
            "SQL",
            {"x": {"query": "UPDATE users SET password = 'MADE' WHERE id = 7711"}},
            "WHERE id = 7711",
        ),
        (
            "CREATE USER",
            {"x": {"query": "CREATE USER 'report'@'10.%' IDENTIFIED BY 'MADE'"}},
            "'report'@'10.%'",
        ),
        ("table", {"request_body": "name,password,role\nann,MADE,auditor\n"}, "auditor"),
        (
            "XML",
            {"request_body": "<login><user>u-ann</user><password>MADE</password></login>"},
            "<user>u-ann</user>",
        ),
        (
            "URL",
            "cloning https://svc:MADE@git.example.org/o/shop.git",
            "git.example.org/o/shop.git",
        ),
        (
            "connection string",
            {"x": {"cs": "Server=db-eu;Password=MADE;Database=shop-eu"}},
            "Database=shop-eu",
        ),
        ("libpq", "connect host=db-eu password=MADE dbname=shop-eu", "dbname=shop-eu"),
        (
            "label",
            {
                "x": {
                    "env": [
                        {"name": "DB_PASSWORD", "value": "MADE"},
                        {"name": "DB_HOST", "value": "db-eu"},
                    ]
                }
            },
            "db-eu",
        ),
        ("label's name", {"x": {"env": [{"name": "DB_PASSWORD", "value": "MADE"}]}}, "DB_PASSWORD"),
        (
            "changes",
            {
                "x": [
                    {"field": "password", "old": "a", "new": "MADE"},
                    {"field": "role", "old": "user", "new": "auditor"},
                ]
            },
            "auditor",
        ),
        ("vendor's token", "pushed with MADE to o/shop", "to o/shop", token("ghp_", 36)),
        (
            "header",
            {"request_headers": {"Authorization": "Bearer MADE", "X-Request-Id": "r-79"}},
            "r-79",
            token("", 40),
        ),
        (
            "scheme",
            {"response_body": {"access_token": "MADE", "token_type": "Bearer", "expires_in": 3599}},
            '"expires_in":3599',
            token("", 40),
        ),
        (
            "cookies",
            {"request_headers": {"Cookie": "sid=MADE", "Accept-Language": "de-DE"}},
            "de-DE",
            hex32,
        ),
        (
            "card",
            {"request_body": {"card_number": "MADE", "amount": 1999, "currency": "EUR"}},
            '"amount":1999',
            luhn("411111", 16),
        ),
        (
            "signed URL",
            {"endpoint": "/c/o?sv=2021-12-02&se=2026-11-27&sig=MADE"},
            "se=2026-11-27",
            sas,
        ),
        (
            "mysqldump",
            "mysqldump --user app --password MADE --host db-eu shop",
            "--host db-eu shop",
        ),
        (
            "multipart",
            {
                "request_body": (
                    '--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nMADE\r\n'
                    '--b\r\nContent-Disposition: form-data; name="city"\r\n\r\nBerlin\r\n'
                    "--b--"
                )
            },
            "Berlin",
        ),
        ("repr", "saved Login(user='u-ann', password='MADE', remember=True)", "remember=True"),
        ("JSON cut off", {"response_body": '{"user": "u-ann", "password": "MADE'}, "u-ann"),
        (
            "OAuth",
            {"request_body": "grant_type=authorization_code&code=MADE&client_id=shop-eu"},
            "client_id=shop-eu",
            token("", 40),
        ),
        (
            "Vault's lease",
            {
                "response_body": {
                    "lease_id": "database/creds/ro/l-7",
                    "lease_duration": 2764800,
                    "data": {"password": "MADE"},
                }
            },
            '"lease_duration":2764800',
        ),
    ],
}
