"""Secrets in URLs, in what OAuth sends, and behind Bearer and Basic."""

from __future__ import annotations

from tests.support.redaction.values import (
    WORD,
    Listed,
    base64_of,
    base64url_of,
    basic,
    hex32,
    hex40,
    hex64,
    sas,
    token,
)

SECRETS: Listed = {
    "signed URL": [
        (
            "S3",
            {"x": {"url": "https://b.s3.amazonaws.com/o?X-Amz-Expires=900&X-Amz-Signature=MADE"}},
            hex64,
        ),
        ("Azure, column", {"endpoint": "/c/o?sv=2021-12-02&sp=r&sig=MADE"}, sas),
        (
            "Google",
            {
                "x": {
                    "url": "https://storage.googleapis.com/b/o?X-Goog-Signature=MADE&X-Goog-Expires=9"
                }
            },
            hex64,
        ),
        (
            "CloudFront",
            "https://d1.cloudfront.net/o?Expires=1&Signature=MADE&Key-Pair-Id=K1",
            hex64,
        ),
        ("Service Bus", {"x": {"with": "SharedAccessSignature sr=ns&sig=MADE&se=1&skn=root"}}, sas),
        (
            "S3, in a message",
            "download at https://b.s3.eu-central-1.amazonaws.com/k.pdf?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261126T1Z&X-Amz-Signature=MADE",
            hex64,
        ),
        (
            "S3, security token",
            {"x": {"u": "https://b.s3.amazonaws.com/k?X-Amz-Security-Token=MADE&X-Amz-Expires=60"}},
            sas,
        ),
        ("S3, version 2", {"endpoint": "/k?AWSAccessKeyId=AKIAEX&Expires=17&Signature=MADE"}, sas),
        (
            "Azure blob",
            {
                "response_body": {
                    "sasUrl": "https://a.blob.core.windows.net/c/o?sp=r&st=2026-11-26&se=2026-11-27&sv=2022-11-02&sr=b&sig=MADE"
                }
            },
            sas,
        ),
        (
            "Logic App",
            {
                "x": {
                    "callback": "https://prod-1.westeurope.logic.azure.com/workflows/a/triggers/manual/paths/invoke?sp=%2Ftriggers&sv=1.0&sig=MADE"
                }
            },
            token("", 43, WORD),
        ),
        (
            "Google, version 2",
            {
                "x": [
                    "https://storage.googleapis.com/b/o?GoogleAccessId=s@p.iam&Expires=1&Signature=MADE"
                ]
            },
            sas,
        ),
        (
            "Azure Functions",
            {"x": {"url": "https://f.azurewebsites.net/api/run?code=MADE"}},
            base64url_of(40),
        ),
        (
            "escaped in JSON text",
            {
                "response_body": (
                    '{"url":"https:\\/\\/b.s3.amazonaws.com\\/o?'
                    'X-Amz-Expires=9\\u0026X-Amz-Signature=MADE"}'
                )
            },
            hex64,
        ),
        (
            "escaped in HTML",
            {
                "response_body": '<a href="https://b.s3.amazonaws.com/o?X-Amz-Expires=9&amp;X-Amz-Signature=MADE">o</a>'
            },
            hex64,
        ),
        (
            "CloudFront, cookie",
            {"response_headers": {"Set-Cookie": "CloudFront-Signature=MADE; Path=/"}},
            token("", 120, WORD),
        ),
        (
            "Event Hubs' header",
            "Authorization: SharedAccessSignature sr=sb%3A%2F%2Fns&sig=MADE&se=17&skn=send",
            sas,
        ),
        (
            "Alibaba",
            {
                "x": {
                    "url": "https://b.oss-cn-hangzhou.aliyuncs.com/o?OSSAccessKeyId=LTAI1&Expires=1&Signature=MADE"
                }
            },
            sas,
        ),
        ("SAS alone", {"new_value": {"sas": "?sv=2022-11-02&ss=b&srt=sco&sp=rl&sig=MADE"}}, sas),
        (
            "in a query",
            (
                "GET /fetch?u=https%3A%2F%2Fb.s3.amazonaws.com%2Fo%3FX-"
                "Amz-Expires%3D9%26X-Amz-Signature%3DMADE"
            ),
            hex64,
        ),
    ],
    "OAuth": [
        (
            "code in an address",
            {"x": {"redirect": "https://app.example.org/cb?code=MADE&state=s1"}},
            token("4/0A", 40),
        ),
        (
            "code beside grant_type",
            {"request_body": {"grant_type": "authorization_code", "code": "MADE"}},
            token("", 40),
        ),
        (
            "client_assertion in a form",
            {"request_body": "grant_type=client_credentials&client_assertion=MADE"},
            token("", 80),
        ),
        (
            "SAMLResponse in a form",
            {"request_body": "RelayState=r&SAMLResponse=MADE"},
            token("", 120),
        ),
        ("login_ticket", {"x": {"url": "/authorize?login_ticket=MADE&x=1"}}, token("", 32)),
        (
            "fragment",
            "back at https://app.example.org/#access_token=MADE&expires_in=9",
            token("", 40),
        ),
        (
            "code_verifier",
            {"request_body": {"code_verifier": "MADE", "redirect_uri": "https://a"}},
            token("", 64, WORD),
        ),
        (
            "code in a form",
            {
                "request_body": (
                    "grant_type=authorization_code&code=MADE&redirect_uri=https%3A%2F%2Fa"
                )
            },
            token("", 40),
        ),
        (
            "device_code",
            {
                "request_body": (
                    "grant_type=urn:ietf:params:oauth:grant-type:"
                    "device_code&device_code=MADE&client_id=tv"
                )
            },
            token("", 40),
        ),
        (
            "refresh_token in a form",
            {"request_body": "client_id=shop&refresh_token=MADE&grant_type=refresh_token"},
            token("1//0", 60, WORD),
        ),
        (
            "client_secret in a form",
            {"request_body": "grant_type=client_credentials&client_id=shop&client_secret=MADE"},
            token("", 40),
        ),
        (
            "answer",
            {"response_body": {"access_token": "MADE", "token_type": "Bearer", "expires_in": 3599}},
            token("", 80),
        ),
        (
            "id_token in a fragment",
            {"x": {"location": "https://app.example.org/cb#state=s&id_token=MADE&session_state=x"}},
            token("", 90),
        ),
        (
            "subject_token",
            {
                "request_body": {
                    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                    "subject_token": "MADE",
                }
            },
            token("", 70),
        ),
        (
            "oauth_verifier",
            {"endpoint": "/callback?oauth_token=a&oauth_verifier=MADE"},
            token("", 32),
        ),
        (
            "oauth_token_secret",
            {"response_body": "oauth_token=t1&oauth_token_secret=MADE&screen_name=ann"},
            token("", 45),
        ),
        (
            "OAuth 1",
            (
                'Authorization: OAuth oauth_consumer_key="k", oauth_nonce="n", '
                'oauth_signature="MADE", oauth_version="1.0"'
            ),
            sas,
        ),
        (
            "code in a message",
            "302 to https://shop.example.org/auth/callback?state=xyz&code=MADE",
            token("", 43),
        ),
        (
            "registration_access_token",
            {"response_body": {"client_id": "c", "registration_access_token": "MADE"}},
            token("", 50),
        ),
        (
            "Location",
            {"response_headers": {"Location": "https://a.example.org/cb?code=MADE&iss=i"}},
            token("", 43),
        ),
        (
            "SAMLRequest's answer in a page",
            {
                "response_body": (
                    '<form><input type="hidden" name="SAMLResponse" value="MADE"/></form>'
                )
            },
            base64_of(160),
        ),
        (
            "code in a repr",
            "{'grant_type': 'authorization_code', 'code': 'MADE', 'redirect_uri': 'https://a'}",
            token("", 40),
        ),
    ],
    "Bearer and Basic": [
        ("Bearer in a message", "upstream said 401 for Bearer MADE", token("", 40)),
        ("Basic in a message", "header Basic MADE refused", basic),
        ("Basic before a full stop", "The proxy was sent Basic MADE.", basic),
        (
            "Digest, escaped quotes",
            r'curl -H "Authorization: Digest username=\"ann\", response=\"MADE\"" https://h/',
            hex32,
        ),
        (
            "Digest, quotes in quotes",
            'sent "Authorization: Digest username="ann", realm="r", response="MADE"" to h',
            hex32,
        ),
        ("curl", "curl -H 'Authorization: Bearer MADE' https://api.example.org", token("", 40)),
        (
            "among arguments",
            {"x": {"argv": ["curl", "-H", "Authorization: Bearer MADE"]}},
            token("", 40),
        ),
        ("upper case", "BEARER MADE was revoked", token("", 44)),
        (
            "wget",
            "wget --header='Authorization: Bearer MADE' https://api.example.org/x",
            token("", 40),
        ),
        ("Basic in curl", 'curl -X POST -H "Authorization: Basic MADE" https://h/x', basic),
        ("in quotes", {"x": {"log": 'sent "Bearer MADE" upstream'}}, token("", 40)),
        ("in JSON text", {"request_body": '{"h":"Bearer MADE","n":1}'}, token("", 40)),
        (
            "in YAML",
            {"request_body": "headers:\n  - 'Authorization: Bearer MADE'\n"},
            token("", 40),
        ),
        ("in a repr", "headers={'Authorization': 'Basic MADE', 'Accept': '*/*'}", basic),
        ("in httpie", "http GET api.example.org 'Authorization:Bearer MADE'", token("", 40)),
        ("in a list", {"x": {"sent": ["Accept: */*", "Authorization: Basic MADE"]}}, basic),
        ("encoded", {"endpoint": "/proxy?h=Authorization%3A%20Bearer%20MADE"}, token("", 40)),
        (
            "gRPC's metadata",
            "metadata [('authorization', 'Bearer MADE'), ('x-id', '7')]",
            token("", 40),
        ),
        ("Basic, lower case", "authorization: basic MADE", basic),
    ],
    "URL": [
        ("user and password", "cloning https://svc:MADE@git.example.org/r.git"),
        ("token alone", "cloning https://MADE@git.example.org/r.git", hex40),
        ("no user", {"x": {"dsn": "redis://:MADE@cache:6379/0"}}),
        ("x-access-token", {"x": ["https://x-access-token:MADE@git.example.org/r"]}, token("", 36)),
        ("JDBC", {"x": {"url": "jdbc:postgresql://db/shop?user=app&password=MADE"}}),
        (
            "postgres",
            {"x": {"DATABASE_URL": "postgres://app:MADE@db.example.org:5432/shop?sslmode=require"}},
        ),
        ("mongodb+srv", "connecting mongodb+srv://svc:MADE@c0.mongodb.net/shop"),
        ("amqps", {"x": {"broker": "amqps://guest:MADE@mq:5671/%2F"}}),
        ("mysql, driver", {"x": {"uri": "mysql+pymysql://app:MADE@db/shop"}}),
        ("ftp", "sync ftp://ann:MADE@files.example.org/in"),
        ("smtp", {"new_value": {"mail": "smtp://mailer:MADE@smtp.example.org:587"}}),
        ("ldaps", {"x": ["ldaps://svc:MADE@ldap.example.org/dc=example"]}),
        (
            "oauth2 of GitLab",
            "git fetch https://oauth2:MADE@gitlab.example.org/g/p.git",
            token("", 20),
        ),
        ("proxy", {"x": {"env": {"HTTPS_PROXY": "http://ann:MADE@proxy.example.org:3128"}}}),
        ("JDBC, MySQL", "pool jdbc:mysql://db:3306/shop?user=app&password=MADE&useSSL=true"),
        ("JDBC, Oracle", {"x": {"url": "jdbc:oracle:thin:app/MADE@//db:1521/ORCL"}}),
        ("Sentry's old DSN", {"x": {"dsn": "https://a1b2:MADE@sentry.example.org/7"}}, hex32),
        ("rediss, user", {"x": {"a": {"b": "rediss://default:MADE@r.upstash.io:6379"}}}),
        (
            "in JSON text",
            {"request_body": '{"remote":"https://ann:MADE@git.example.org/r.git","mirror":true}'},
        ),
        ("clickhouse", {"x": {"url": "clickhouse://default:MADE@ch:9000/logs"}}),
        (
            "token as user, x-oauth-basic",
            "git push https://MADE:x-oauth-basic@github.com/o/r",
            hex40,
        ),
        ("encoded in a query", "GET /import?repo=https%3A%2F%2Fann%3AMADE%40git.example.org%2Fr"),
    ],
}
