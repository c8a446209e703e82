"""Secrets in prose, forms, JSON in texts, and the columns of text."""

from __future__ import annotations

import json

from tests.support.redaction.values import (
    Listed,
    basic,
    digits,
    hex32,
    hex40,
    hex64,
    joined,
    jwt,
    luhn,
    token,
    words,
)

SECRETS: Listed = {
    "phrase": [
        ("to the end", "password: correct horse MADE"),
        ("to the next delimiter", "passphrase=correct horse MADE; cipher=aes"),
        ("in lines", {"request_body": "host: db\npassword: correct horse MADE\nport: 5432\n"}),
        ("passphrase, title", "Passphrase: purple otter MADE"),
        (
            "properties",
            {
                "request_body": (
                    "spring.datasource.username=app\nspring.datasource.password=blue river "
                    "MADE\nspring.jpa.show-sql=true\n"
                )
            },
        ),
        (".env", {"request_body": 'APP_ENV=prod\nDB_PASSWORD="green field MADE"\nDB_PORT=5432\n'}),
        (
            "ini",
            {
                "request_body": (
                    "[client]\nuser = root\npassword = old oak MADE\n[mysqld]\nport = 1\n"
                )
            },
        ),
        ("another language's", "contrase\u00f1a: el perro MADE"),
        ("in a dict", {"x": {"recovery": "passphrase: seven dark MADE"}}),
        ("is", "Your temporary password is MADE"),
        (
            "is, of a mail",
            {"x": {"mail": {"body": "Hello Ann,\nyour new password is: MADE\nRegards"}}},
        ),
        (
            "in an object's text",
            {"request_body": {"text": "user: ann\nPassword: tall white MADE\nport: 1"}},
        ),
        ("three words", {"x": {"passphrase": "MADE"}}, words),
        ("code of a message", "Your verification code is MADE", digits(6)),
        ("equal sign and commas", "login failed user=ann, password=little red MADE, ip=10.0.0.1"),
        ("arrow", "password => MADE"),
        ("code behind its name", "SMS passcode MADE sent to +49 *** 4711", digits(7)),
        ("one-time code", {"x": {"note": "Ann confirmed one-time code MADE"}}, digits(6)),
        ("backup code", "only backup code MADE is left", token("v6r-", 5, "abcdefg0123")),
        ("PIN for somebody", "user PIN for k.obi reset to MADE", digits(4)),
        ("code before its name", "SMS: MADE is your Acme verification code", digits(6)),
        ("key in the middle", "tom: use API key MADE until friday", token("aB3", 37)),
        ("changed from nothing", "'ldap.bind_password' changed from '' to 'MADE' by ann"),
        ("plan of Terraform", '  ~ admin_password = "Old1Old2!" -> "MADE" # forces replacement'),
        ("password for somebody", "temporary password for ann: MADE"),
        ("password for somebody is", "Initial password for ann is MADE"),
        ("OTP for somebody", "otp for bob is MADE", digits(6)),
        ("use the code", "Use MADE as your verification code", digits(6)),
        ("the OTP", "MADE is the OTP for your transaction", digits(6)),
        ("code of Google", "G-MADE is your Google verification code", digits(6)),
        ("code in German", "Dein Bestätigungscode ist MADE", digits(6)),
        ("code before, in German", "MADE ist Ihr Sicherheitscode", digits(6)),
        ("code in two parts", "Your login code is MADE", joined(" ", digits(3), digits(3))),
        ("code in parts without is", "one-time code MADE", joined(" ", digits(3), digits(3))),
    ],
    "form and query": [
        (
            "key of an API",
            {"endpoint": "https://h/api/v2/?format=json&key=MADE&n=4"},
            hex32,
        ),
        ("encoded letter in the name", {"request_body": "user=ann&p%61ssword=MADE"}),
        ("encoded brackets", {"request_body": "user%5Bpassword%5D=MADE&x=1"}),
        ("encoded name of redact_keys", {"request_body": "contrase%C3%B1a=MADE&x=1"}),
        (
            "multipart, no quotes",
            {
                "request_body": (
                    "--b\r\nContent-Disposition: form-data; name=password\r\n\r\nMADE\r\n--b--"
                )
            },
        ),
        ("query in a query", "GET /login?next=%2Fa%3Fpassword%3DMADE%26b%3D1&x=1"),
        ("short name", {"request_body": "user=ann&pass=MADE&otp_sent=1"}),
        ("query", {"endpoint": "/login?user=ann&password=MADE"}),
        ("camelCase", {"request_body": "userName=ann&newPassword=MADE&remember=1"}),
        ("kebab", {"request_body": "user-name=ann&api-key=MADE"}, token("", 32)),
        ("double-encoded", {"endpoint": "/go?to=%252Flogin%253Fpassword%253DMADE"}),
        ("encoded pairs", "body was user%3Dann%26password%3DMADE"),
        (
            "nested brackets",
            {"request_body": "session[user][email]=a%40b.org&session[user][password]=MADE"},
        ),
        (
            "multipart",
            {
                "request_body": (
                    '--x1\r\nContent-Disposition: form-data; name="user"\r\n\r\nann\r\n'
                    '--x1\r\nContent-Disposition: form-data; name="new_password"\r\n\r\n'
                    "MADE\r\n--x1--\r\n"
                )
            },
        ),
        (
            "multipart, with a type",
            {
                "request_body": (
                    '--x1\r\nContent-Disposition: form-data; name="client_secret"\r\n'
                    "Content-Type: text/plain\r\n\r\nMADE\r\n--x1--"
                )
            },
        ),
        (
            "api_key in a message",
            "GET https://maps.example.org/v1?q=berlin&api_key=MADE 200",
            token("", 32),
        ),
        ("semicolons", {"request_body": "user=ann;passwd=MADE;lang=de"}),
        ("parse_qs", {"x": {"query": {"user": ["ann"], "password": ["MADE"]}}}),
        (
            "fragment's query",
            {"x": {"href": "https://app.example.org/#/reset?token=MADE"}},
            token("", 40),
        ),
        (
            "Referer",
            {"request_headers": {"Referer": "https://shop.example.org/reset?reset_token=MADE"}},
            hex40,
        ),
        ("list of pairs", {"x": {"params": [["user", "ann"], ["password", "MADE"]]}}),
        (
            "access log",
            '10.0.0.1 - ann [26/Nov/2026] "GET /api?access_token=MADE HTTP/1.1" 200 17',
            token("", 40),
        ),
        (
            "HTML's ampersand",
            {"response_body": '<a href="/reset?uid=7&amp;token=MADE">reset</a>'},
            token("", 40),
        ),
        ("upper case", {"endpoint": "/svc?SERVICE=WMS&APIKEY=MADE"}, token("", 32)),
        ("pin", {"request_body": "card=7&pin=MADE"}, digits(6)),
        ("NFD, encoded", {"request_body": "usuario=ann&contrasen%CC%83a=MADE"}),
        ("plus for blanks", {"request_body": "user=ann&password=a+b+MADE&x=1"}),
        ("end of an element in it", "password=x</MADE", token("", 12)),
        ("name that ends in _", "user=bob&password_=MADE&x=1"),
        ("name that ends in __, repr", "{'password__': 'MADE'}"),
    ],
    "JSON in a text": [
        ("card as a number", 'pay {"n": MADE}', luhn("4539", 16)),
        ("forged sign", 'a {"x":"y"} {%00999%00} %70assword=MADE'),
        ("marks of a change", 'diff {"path":"/password","old":"alpha1","new":"MADE"}'),
        (
            "label behind a prefix",
            'INFO payload: {"name": "password", "id": 5, "kind": "x", "value": "MADE"} ok',
        ),
        (
            "one object a line",
            {
                "request_body": (
                    '{"n": 1, "ok": true}\n'
                    '{"key": "db.password", "version": 3, "by": "ann", "value": "MADE"}\n'
                )
            },
        ),
        (
            "of a list that was cut",
            {
                "request_body": (
                    '{"n": 1, "settings": [{"key": "db.password", "by": "ann", "value": "MADE"}, {"'
                )
            },
        ),
        (
            "pair in a list",
            'sent [["authorization", "MADE"], ["accept", "*/*"]] to h',
            token("", 40),
        ),
        (
            "behind another one",
            'got {"a": {"b": [1, 2]}} and {"setting": "smtp_pass", "scope": "all", "new": "MADE"}',
        ),
    ],
    "JSON text": [
        ("escaped letter in the name", {"request_body": '{"user":"ann","p\\u0061ssword":"MADE"}'}),
        (
            "escaped letter, trailing comma",
            {"request_body": '{"user":"ann","p\\u0061ssword":"MADE",}'},
        ),
        (
            "HTML's quotes",
            "posted {&quot;user&quot;:&quot;ann&quot;,&quot;password&quot;:&quot;MADE&quot;}",
        ),
        ("escaped name of redact_keys", 'posted {"user": "ann", "contrase\\u00f1a": "MADE"}'),
        (
            "text in text in text",
            {"x": {"body": json.dumps(json.dumps(json.dumps({"password": "MADE"})))}},
        ),
        ("cut off", {"response_body": '{"user": "ann", "password": "MADE'}),
        (
            "HTML's quotes, by number",
            {"request_body": "<a data='{&#34;password&#34;: &#34;MADE&#34;}'>"},
        ),
        (
            "escaped quotes in a message",
            'body was "{\\"user\\":\\"ann\\",\\"password\\":\\"MADE\\"}"',
        ),
        ("behind a byte order mark", {"request_body": '\ufeff{"password": "MADE"}'}),
        ("in a message", 'request {"user": "ann", "password": "MADE"} refused'),
        ("in a list", {"x": ['{"client_secret":"MADE"}']}),
        (
            "pretty",
            {
                "request_body": (
                    '{\n  "user": "ann",\n  "credentials": {\n    "password": "MADE"\n  }\n}'
                )
            },
        ),
        (
            "text in text",
            {"x": {"Message": json.dumps({"detail": json.dumps({"apiKey": "MADE"})})}},
            token("", 32),
        ),
        ("lines", {"request_body": '{"id":1}\n{"id":2,"password":"MADE"}\n'}),
        ("repr of a dict", "payload={'user': 'ann', 'password': 'MADE', 'n': 1}"),
        ("repr of a dataclass", "saved Login(user='ann', password='MADE', remember=True)"),
        (
            "repr, an object's",
            {"x": {"repr": "<Config host='db' api_token='MADE'>"}},
            token("", 32),
        ),
        ("toString of Java", "saved User{id=7, name=ann, password=MADE, roles=[admin]}"),
        ("Go's map", "config map[host:db password:MADE port:5432]"),
        (
            "cut off in a list",
            {"response_body": '{"items": [{"id": 1, "access_token": "MADE", "sc'},
            token("", 40),
        ),
        ("cut off in front", {"response_body": 'nn", "password": "MADE", "n": 1}'}),
        ("JSON5", {"request_body": "{user: 'ann', password: 'MADE',}"}),
        (
            "GraphQL",
            {
                "request_body": json.dumps(
                    {"query": 'mutation { login(user: "ann", password: "MADE") { id } }'}
                )
            },
        ),
        (
            "GraphQL's variables",
            {
                "request_body": {
                    "query": "mutation($p: String!) { a }",
                    "variables": {"newPassword": "MADE"},
                }
            },
        ),
        (
            "SQS in Lambda",
            {"x": {"Records": [{"messageId": "m", "body": '{"user":"ann","otp":"MADE"}'}]}},
            digits(6),
        ),
        ("NaN beside it", {"request_body": '{"n": NaN, "password": "MADE"}'}),
        (
            "Ruby's hash",
            'Parameters: {"user"=>{"email"=>"a@b.org", "password"=>"MADE"}, "commit"=>"Log in"}',
        ),
        ("encoded", {"endpoint": "/a?filter=%7B%22password%22%3A%22MADE%22%7D"}),
        ("JSONP", {"response_body": 'cb({"access_token":"MADE"});'}, token("", 40)),
        (
            "SSE",
            {"response_body": 'event: auth\ndata: {"session_token":"MADE"}\n\n'},
            token("", 40),
        ),
        ("NFD, escaped", {"request_body": '{"contrasen\\u0303a": "MADE", "n": 1}'}),
        ("number", {"request_body": '{"card": "c", "pin": MADE}'}, digits(6)),
    ],
    "column of text": [
        ("resource_id, URL", {"resource_id": "https://svc:MADE@git.example.org/r"}),
        ("user_agent, token=", {"user_agent": "bot/1 token=MADE"}, hex32),
        ("agent_id, Bearer", {"agent_id": "Bearer MADE"}, token("", 40)),
        ("service_name, URL", {"service_name": "https://svc:MADE@shop.example.org"}),
        ("session_id, Bearer", {"session_id": "Bearer MADE"}, token("", 40)),
        ("resource_name, password=", {"resource_name": "password=MADE"}),
        ("session_id, JWT", {"session_id": "MADE"}, jwt),
        ("agent_name, token=", {"agent_name": "ann token=MADE"}, hex32),
        ("agent_id, URL", {"agent_id": "https://svc:MADE@idp.example.org/u/7"}),
        ("endpoint, password=", {"endpoint": "POST /login?password=MADE"}),
        ("user_agent, Basic", {"user_agent": "curl/8 Basic MADE"}, basic),
        ("user_agent, vendor", {"user_agent": "ci (MADE)"}, token("ghp_", 36)),
        ("resource_id, query", {"resource_id": "/files/7?access_token=MADE"}, token("", 40)),
        ("resource_id, connection string", {"resource_id": "Server=db;User Id=sa;Password=MADE"}),
        ("resource_name, JSON", {"resource_name": '{"password": "MADE"}'}),
        (
            "resource_name, JDBC",
            {"resource_name": "jdbc:postgresql://db/shop?user=a&password=MADE"},
        ),
        ("session_id, cookie", {"session_id": "Cookie: sid=MADE"}, hex32),
        ("agent_id, token=", {"agent_id": "api_key=MADE"}, token("", 32)),
        ("agent_name, Basic", {"agent_name": "Authorization: Basic MADE"}, basic),
        ("agent_name, vendor", {"agent_name": "MADE"}, token("glpat-", 20)),
        ("service_name, token=", {"service_name": "shop token=MADE"}, hex32),
        ("service_name, JWT", {"service_name": "MADE"}, jwt),
        (
            "resource_id, signed",
            {"resource_id": "https://b.s3.amazonaws.com/o?X-Amz-Signature=MADE"},
            hex64,
        ),
    ],
}
