"""Innocent prose, commands, actions and addresses."""

from __future__ import annotations

from tests.support.redaction.values import Listed, hex64, token, uuid

INNOCENTS: Listed = {
    "prose": [
        ("year", "2024 is the year of the access code", "2024 is"),
        ("error code", "error code 40412 of the upload", "40412"),
        ("pins of a plug", "pin 12 of the plug is bent", "pin 12"),
        ("milliseconds of a path", "GET /pin 1200 ms", "1200"),
        (
            "packages",
            "Successfully installed python-secrets-23.4 tokenizers-0.19.1",
            "tokenizers-0.19.1",
        ),
        ("name of a Secret", "helm upgrade web --set existingSecret=web-creds", "web-creds"),
        (
            "number of a message of Windows",
            {
                "x": {
                    "xml": (
                        "<Data Name='VirtualAccount'>%%1843</Data>"
                        "<Data Name='ElevatedToken'>%%1842</Data>"
                    )
                }
            },
            "'VirtualAccount'>%%1843</Data><Data Name='ElevatedToken'>%%1842<",
        ),
        (
            "kind of a message of Cisco",
            "16:36:37.558: %SYS-5-PRIV_AUTH_PASS: Privilege level set to 1 by ann",
            "Privilege level set to 1 by ann",
        ),
        ("ids of tokens", {"x": {"tokens": {"exceptionUids": ["x1d298902f"]}}}, "x1d298902f"),
        (
            "message of Kubernetes",
            'SetUp failed for volume "db-creds" : secret "db-creds" not found',
            'volume "db-creds" : secret "db-creds" not found',
        ),
        (
            "message of passwd",
            "passwd[3312]: pam_unix(passwd:chauthtok): password changed for kim",
            "pam_unix(passwd:chauthtok): password changed for kim",
        ),
        (
            "autocomplete",
            '<input type="password" name="pw" autocomplete="current-password">',
            "current-password",
        ),
        (
            "key of an object",
            "GET https://api.example.org/f?key=exports/2026/report-7.csv",
            "report-7.csv",
        ),
        ("table", "<tr><th>token_type</th></tr><tr><td>bearer-token</td></tr>", "bearer-token"),
        ("kind of a resource", "AWS::IAM::AccessKey:ASIATMJPC7EXAMPLE", "ASIATMJPC7EXAMPLE"),
        (
            "sshd, accepted",
            "Accepted password for kim from 10.0.0.1 port 52144 ssh2",
            "from 10.0.0.1",
        ),
        ("sshd, failed", "Failed password for root from 203.0.113.9 port 4022", "203.0.113.9"),
        ("session token for", "Session token for kim from 10.0.0.1 revoked", "10.0.0.1"),
        (
            "sentence before JSON",
            'password: changed by bob {"src": "web"}',
            'changed by bob {"src": "web"}',
        ),
        (
            "MySQL before JSON",
            'Access denied for user (using password: YES) {"a":"b"}',
            'YES) {"a":"b"}',
        ),
        (
            "JSON in quotes of a shell",
            """curl -d '{"msg":"it\\u0027s \\u003cb\\u003e",  "password":"x1y2z3"}' https://h/""",
            '"it\\u0027s \\u003cb\\u003e",  "password":',
        ),
        (
            "IKE",
            "IKEv2 key exchange failed, ISAKMP key lifetime expired",
            "exchange failed, ISAKMP",
        ),
        ("community strings", "snmp-server community strings are checked", "strings are"),
        ("auth login", "gcloud auth login kim@example.com; auth login succeeded", "succeeded"),
        ("AUTH PLAIN", "AUTH PLAIN authentication failed", "authentication failed"),
        ("date", "2024-01-31 is the password expiration date for kim", "2024-01-31"),
        ("service", "restarting otp service-7d9f8", "service-7d9f8"),
        ("milliseconds", "otp 5000 ms timeout, access code 1000 times used", "5000 ms timeout"),
        ("zip code", "90210 is your zip code, token ok", "90210"),
        ("feature", "GET /api/flags?key=checkout-redesign-2024-rollout", "redesign-2024"),
        ("CEF, kind", "cs1=JWT cs1Label=Token Type cs2=30d cs2Label=Password Age", "JWT"),
        ("CEF, state", "cs1Label=Password cs1=changed", "cs1=changed"),
        (
            "table with names of rows",
            "<table><tr><td></td><th>user</th><th>password</th></tr>"
            '<tr><th scope="row">1</th><td>ann</td><td>hunter2x</td></tr></table>',
            '"row">1</th><td>ann</td>',
        ),
        (
            "rows of a table",
            "<tr><td>Password</td><td>changed</td></tr><tr><td>User</td><td>kim</td></tr>",
            "<td>User</td><td>kim</td>",
        ),
        ("login from", 'LOGIN "ann" from "10.0.0.7"', "10.0.0.7"),
        ("AUTH", '"AUTH" was sent', "was sent"),
        ("custom field", "cs1Label=policy cs1=allow-all cs2Label=tokenType cs2=refresh", "refresh"),
        ("arguments of auditd", 'a0="git" a1="-u" a2="origin" a3="main"', "origin"),
        ("label=", "podman run --label=a=b Label=x x=y", "x=y"),
        ("path and status", "GET /v1/tokens: 200", "200"),
        ("working directory", "PWD=/root", "/root"),
        ("title", "API token: a new description", "a new description"),
        ("usage", "model=m-1 max_tokens=4096 total_tokens: 1532", "1532"),
        ("role's id with PWD in it", {"x": {"principalId": "AROAZB2CNPWD5DHZ:deploy"}}, ":deploy"),
        ("wrong password", "wrong password, try again: later", "later"),
        ("Basic", "plan changed from Basic subscription to Premium", "Basic subscription"),
        (
            "realm",
            {"response_headers": {"WWW-Authenticate": 'Bearer realm="api", error="invalid_token"'}},
            "invalid_token",
        ),
        (
            "code",
            {"x": {"error": {"code": "AccessDenied"}, "url": "/a?country_code=DE&code=404"}},
            "code=404",
        ),
        ("password reset", "password reset requested for u-ann", "requested for u-ann"),
        ("token expired", "token expired at 2026-11-26T10:00:00Z", "2026-11-26T10:00:00Z"),
        ("secret rotated", "secret prod/db rotated by u-ann", "prod/db rotated by u-ann"),
        (
            "authorization failed",
            "authorization failed: user u-ann lacks role admin",
            "lacks role admin",
        ),
        ("tests", "tests: 41 pass, 2 fail, 1 skip", "41 pass, 2 fail"),
        (
            "sshd",
            "Failed password for invalid user oracle from 10.0.0.9 port 4242 ssh2",
            "from 10.0.0.9 port 4242",
        ),
        (
            "sshd, password",
            "Accepted publickey for ann from 10.0.0.9 port 51022 ssh2: ED25519 SHA256:MADE",
            "MADE",
            token("", 43),
        ),
        (
            "sudo",
            "ann : TTY=pts/0 ; PWD=/home/ann ; USER=root ; COMMAND=/usr/bin/apt update",
            "COMMAND=/usr/bin/apt update",
        ),
        ("bearer of news", "the bearer of this badge may enter", "of this badge may enter"),
        ("pin", "pin the dependency: requests 2.32", "requests 2.32"),
        ("rate", "tokens per minute: 9000 of 10000", "9000 of 10000"),
        ("key", "press any key to continue; keys: up, down", "up, down"),
        ("PostgreSQL", 'password authentication failed for user "app"', 'for user "app"'),
        (
            "MySQL",
            "Access denied for user 'app'@'10.0.0.7' (using password: YES)",
            "using password: YES",
        ),
        (
            "ticket",
            {"x": {"summary": "Rotate API keys: production and staging"}},
            "production and staging",
        ),
        ("policy", "password must have 12 characters, one digit", "one digit"),
        ("basic auth", "Basic authentication disabled for tenant t-7", "disabled for tenant t-7"),
        (
            "Kubernetes",
            'secrets "db-creds" is forbidden: User "ann" cannot get resource "secrets"',
            'User "ann" cannot get resource',
        ),
    ],
    "ARN and action": [
        (
            "secret's ARN",
            {"x": {"arn": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/db-MADE"}},
            "shop/db-MADE",
            token("", 6),
        ),
        (
            "action",
            {"x": {"Action": "secretsmanager:GetSecretValue"}},
            "secretsmanager:GetSecretValue",
        ),
        (
            "parameter's ARN",
            "read arn:aws:ssm:eu-central-1:111122223333:parameter/shop/db/password",
            "parameter/shop/db/password",
        ),
        (
            "actions",
            {"x": {"Action": ["sts:GetSessionToken", "iam:ChangePassword"]}},
            "iam:ChangePassword",
        ),
        ("scopes", {"x": {"scopes": ["tokens.basic:read", "secret:write"]}}, "secret:write"),
        (
            "event",
            {"x": {"eventSource": "secretsmanager.amazonaws.com", "eventName": "PutSecretValue"}},
            "PutSecretValue",
        ),
        (
            "GCP's method",
            {
                "x": {
                    "methodName": (
                        "google.cloud.secretmanager.v1.SecretManagerService.AccessSecretVersion"
                    )
                }
            },
            "SecretManagerService.AccessSecretVersion",
        ),
        (
            "Azure's operation",
            {"x": {"operationName": "Microsoft.KeyVault/vaults/secrets/read"}},
            "vaults/secrets/read",
        ),
        (
            "GitHub's",
            {"x": {"action": "personal_access_token.access_granted"}},
            "personal_access_token.access_granted",
        ),
        ("Okta's", {"x": {"eventType": "system.api_token.create"}}, "system.api_token.create"),
        ("KMS", "used arn:aws:kms:eu-central-1:111122223333:key/MADE", "MADE", uuid),
        (
            "role session",
            "arn:aws:sts::111122223333:assumed-role/TokenRefresher/i-0abc",
            "TokenRefresher/i-0abc",
        ),
        (
            "Auth0's scopes",
            {"x": {"scope": "read:client_keys update:client_credentials"}},
            "update:client_credentials",
        ),
        (
            "verbs",
            {
                "x": {
                    "verb": "create",
                    "requestURI": "/api/v1/namespaces/shop/serviceaccounts/web/token",
                }
            },
            "serviceaccounts/web/token",
        ),
        (
            "event of Stripe",
            {"x": {"type": "payment_method.card_automatically_updated", "id": "evt_1"}},
            "payment_method.card_automatically_updated",
        ),
        (
            "policy",
            {
                "x": {
                    "Statement": [
                        {"Effect": "Deny", "Action": "iam:CreateAccessKey", "Resource": "*"}
                    ]
                }
            },
            "iam:CreateAccessKey",
        ),
        ("Slack's scope", {"x": {"scopes": "users:read,tokens.basic"}}, "users:read,tokens.basic"),
        (
            "Entra's activity",
            {
                "x": {
                    "activityDisplayName": (
                        "Update application \u2013 Certificates and secrets management"
                    )
                }
            },
            "Certificates and secrets management",
        ),
        (
            "IAM user path",
            "arn:aws:iam::111122223333:user/password-reset-bot",
            "user/password-reset-bot",
        ),
    ],
    "command, SQL, markup": [
        ("--password-file", "run --password-file /run/p1 --yes", "/run/p1"),
        ("--no-password", "psql --no-password --host db-eu", "db-eu"),
        ("column's name", "SELECT password_changed_at FROM users WHERE id = 7", "WHERE id = 7"),
        (
            "table's name",
            {"x": {"query": "INSERT INTO tokens (id, owner) VALUES (7, 'u-ann')"}},
            "u-ann",
        ),
        ("element", "<r><TokenType>Bearer</TokenType></r>", "Bearer"),
        ("CSV", {"request_body": "id,token_type,owner\n7,service,ann\n"}, "7,service,ann"),
        ("docker -p", "docker run -p 8080:80 nginx:1.27", "8080:80 nginx:1.27"),
        ("ssh -p", "ssh -p 2222 ann@web-0", "-p 2222 ann@web-0"),
        ("mkdir -p", "mkdir -p /srv/shop/data", "/srv/shop/data"),
        ("--token-ttl", "vault token create --token-ttl 1h --policy ops", "--policy ops"),
        (
            "--secret-id",
            "aws secretsmanager get-secret-value --secret-id prod/db --region eu-west-1",
            "prod/db --region eu-west-1",
        ),
        ("kubectl get secret", "kubectl get secret db-creds -n shop -o yaml", "db-creds -n shop"),
        (
            "--password-stdin",
            "docker login -u ann --password-stdin registry.example.org",
            "registry.example.org",
        ),
        (
            "SELECT",
            {"x": {"query": "SELECT id, token_type FROM api_tokens WHERE owner = 'u-ann'"}},
            "owner = 'u-ann'",
        ),
        (
            "CREATE TABLE",
            {
                "x": {
                    "query": "CREATE TABLE users (id int, password varchar(60) NOT NULL, role text)"
                }
            },
            "varchar(60) NOT NULL, role text",
        ),
        (
            "PASSWORD EXPIRE",
            {"x": {"query": "ALTER USER 'app'@'%' PASSWORD EXPIRE INTERVAL 90 DAY"}},
            "INTERVAL 90 DAY",
        ),
        (
            "IS NULL",
            "UPDATE users SET locked = 1 WHERE password IS NULL AND id = 77",
            "AND id = 77",
        ),
        (
            "ssh-keygen",
            "ssh-keygen -t ed25519 -f /home/ann/.ssh/id_ed25519 -C ann@pc",
            "/home/ann/.ssh/id_ed25519 -C ann@pc",
        ),
        (
            "XML",
            {
                "request_body": (
                    "<Policy><PasswordPolicy><MinLength>12</MinLength></PasswordPolicy></Policy>"
                )
            },
            "<MinLength>12</MinLength>",
        ),
        (
            "HTML",
            {
                "response_body": (
                    '<input type="password" name="pw" placeholder="Your password"><button id="b7">'
                )
            },
            'id="b7"',
        ),
        (
            "YAML",
            {
                "request_body": (
                    "kind: Secret\nmetadata:\n  name: db-creds\n  namespace: shop\ntype: Opaque\n"
                )
            },
            "namespace: shop",
        ),
        (
            "table",
            {"request_body": "user;password_last_changed;mfa_active\nann;2026-10-01;true\n"},
            "ann;2026-10-01;true",
        ),
        (
            "curl -o",
            "curl -sS -o out.json https://api.example.org/v1/tokens",
            "https://api.example.org/v1/tokens",
        ),
        (
            "metavariables",
            "usage: app [--password PASSWORD] [--token TOKEN] [--secret-key FILE]",
            "[--password PASSWORD] [--token TOKEN] [--secret-key FILE]",
        ),
        (
            "help",
            "  -p, --password string   Password\n  -u, --username string   Username",
            "--password string   Password\\n  -u, --username string   Username",
        ),
        ("metavariable in brackets", "app --token <token> [--verbose]", "<token> [--verbose]"),
        ("vault login", "vault login failed for role dev", "login failed for"),
        ("cargo login", "cargo login succeeded", "login succeeded"),
        ("net user", "net user administrator locked", "administrator locked"),
        ("net use", "net use failed with 1326 error", "with 1326 error"),
        ("docker login", "docker login -p is insecure, use --password-stdin", "-p is insecure"),
        *(
            (
                f"cell of HTML: {name}, {cell}",
                f"<table><tr><th>{name}</th><th>x</th></tr><tr><td>{cell}</td><td>y</td></tr></table>",
                f"<td>{cell}</td>",
            )
            for name, cell in (
                ("Reset password", "passed in 3.2 s"),
                ("API key", "3 active"),
                ("Password", "changed 2024-05-01"),
                ("Access token", "&nbsp;"),
                ("Cookie", "_ga"),
                ("Secret", "db-creds"),
                ("PIN", "set on 2026-01-01"),
                ("Pass", "41"),
                ("Password", "<span>Expired</span>"),
            )
        ),
        ("paragraph behind", "<p>Password: MADE</p><p>User: bob</p>", "<p>User: bob</p>", hex64),
        ("state of CEF", "cs1Label=Token cs1=expired yesterday src=1.2.3.4", "expired yesterday"),
        ("id of a key", "Access key: AKIAIOSFODNN7EXAMPLE created", "AKIAIOSFODNN7EXAMPLE"),
    ],
    "address": [
        ("@ in a path", "read https://blog.example.org/@ann/post-7", "@ann/post-7"),
        ("user of git", "cloning ssh://git@git.example.org/o/r.git", "git@git.example.org"),
        ("parameters", {"endpoint": "/a?tokenType=Bearer&max_tokens=50"}, "tokenType=Bearer"),
        ("mail", "sent to ann@example.org", "ann@example.org"),
        (
            "mailto",
            {"x": {"link": "mailto:ann@example.org?subject=hi"}},
            "ann@example.org?subject=hi",
        ),
        (
            "npm's scope",
            {"x": {"url": "https://registry.npmjs.org/@babel/core/-/core-7.25.2.tgz"}},
            "@babel/core/-/core-7.25.2.tgz",
        ),
        ("port", "postgres://db.example.org:5432/shop", "db.example.org:5432/shop"),
        (
            "user of a database",
            {"x": {"dsn": "postgres://app@db.example.org/shop"}},
            "db.example.org/shop",
        ),
        (
            "page",
            {"endpoint": "/orders?page=2&sort_key=created&page_token=&limit=50"},
            "sort_key=created",
        ),
        (
            "time in an address",
            {"endpoint": "/a?from=2026-11-26T10:00:00Z&to=ann@example.org"},
            "to=ann@example.org",
        ),
        ("path with password", {"endpoint": "/users/7/password/reset"}, "/users/7/password/reset"),
        (
            "expiry of a signed URL",
            {
                "x": {
                    "u": "https://b.s3.amazonaws.com/in/a.pdf?X-Amz-Expires=900&X-Amz-Signature=MADE"
                }
            },
            "b.s3.amazonaws.com/in/a.pdf",
            hex64,
        ),
        ("code", {"endpoint": "/a?status_code=200&currency_code=EUR"}, "currency_code=EUR"),
        ("scp", "git@github.com:o/r.git cloned", "git@github.com:o/r.git"),
        ("IPv6", "http://[2001:db8::1]:8080/health", "[2001:db8::1]:8080/health"),
        (
            "image",
            {"x": {"image": "registry.example.org:5000/shop/web:1.2@sha256:MADE"}},
            "MADE",
            hex64,
        ),
    ],
}
