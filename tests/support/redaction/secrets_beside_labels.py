"""Secrets beside a text that names them, and in places that are meant for names."""

from __future__ import annotations

from tests.support.redaction.values import Listed, basic, digits, hex32, hex40, hex64, jwt, token

SECRETS: Listed = {
    "list of changes": [
        (
            "property, oldValue",
            {"x": [{"property": "password", "oldValue": "MADE1", "newValue": "MADE2"}]},
        ),
        ("field, from", {"x": {"items": [{"field": "password", "from": "MADE1", "to": "MADE2"}]}}),
        ("field, before", {"x": [{"field": "password", "before": "MADE1", "after": "MADE2"}]}),
        (
            "name, previousValue",
            {"x": [{"name": "password", "previousValue": "MADE1", "currentValue": "MADE2"}]},
        ),
        ("[old, new]", {"x": {"password": ["MADE1", "MADE2"], "title": ["a", "b"]}}),
        ("{from, to}", {"x": {"password": {"from": "MADE1", "to": "MADE2"}}}),
        (
            "Jira",
            {
                "x": {
                    "changelog": {
                        "items": [
                            {
                                "field": "API Token",
                                "fieldtype": "custom",
                                "fromString": "MADE1",
                                "toString": "MADE2",
                            }
                        ]
                    }
                }
            },
            hex32,
        ),
        (
            "Jira, from",
            {
                "x": [
                    {
                        "field": "password",
                        "from": None,
                        "fromString": "",
                        "to": "MADE",
                        "toString": "MADE",
                    }
                ]
            },
        ),
        (
            "Azure",
            {
                "x": {
                    "modifiedProperties": [
                        {"displayName": "Password", "oldValue": "[]", "newValue": '["MADE"]'}
                    ]
                }
            },
        ),
        (
            "Terraform",
            {
                "x": {
                    "change": {
                        "actions": ["update"],
                        "before": {"password": "MADE1", "port": 1},
                        "after": {"password": "MADE2", "port": 1},
                    }
                }
            },
        ),
        (
            "Terraform, kinds of names",
            {
                "x": {
                    "resource_changes": [
                        {"change": {"before": None, "after": {"master_password": "MADE"}}}
                    ]
                }
            },
        ),
        (
            "old_value and new_value",
            {"old_value": {"smtpPassword": "a"}, "new_value": {"smtpPassword": "MADE"}},
        ),
        (
            "Rails",
            {"x": {"audited_changes": {"api_token": [None, "MADE"], "name": ["a", "b"]}}},
            hex40,
        ),
        ("GitHub", {"x": {"changes": {"config.secret": {"from": "MADE"}}}}),
        (
            "key, old_value",
            {"x": {"diff": [{"key": "clientSecret", "old_value": "MADE1", "new_value": "MADE2"}]}},
        ),
        ("Salesforce", {"x": [{"Field": "Password__c", "OldValue": "MADE1", "NewValue": "MADE2"}]}),
        (
            "attribute, was, is",
            {"x": {"updates": [{"attribute": "passphrase", "old": "MADE1", "new": "MADE2"}]}},
        ),
        (
            "deepdiff",
            {
                "x": {
                    "values_changed": {"root['password']": {"new_value": "MADE", "old_value": "x"}}
                }
            },
        ),
        (
            "JSON Patch in text",
            {"request_body": '[{"op":"add","path":"/spec/credentials/password","value":"MADE"}]'},
        ),
        ("in a message", "changed password from 'MADE' to ''"),
        (
            "column, before",
            {"x": {"columns": [{"name": "pin", "before": "1", "after": "MADE"}]}},
            digits(6),
        ),
        (
            "Debezium",
            {
                "x": {
                    "payload": {
                        "op": "u",
                        "before": {"id": 7, "passwd": "MADE1"},
                        "after": {"id": 7, "passwd": "MADE2"},
                    }
                }
            },
        ),
        ("[path, old, new]", {"x": {"diff": [["change", "user.password", ["MADE1", "MADE2"]]]}}),
    ],
    "label and value": [
        ("data", {"x": [{"name": "password", "data": "MADE"}]}),
        ("stringValue", {"x": {"parameters": [{"name": "PASSWORD", "stringValue": "MADE"}]}}),
        ("environment", {"x": {"env": [{"name": "DB_PASS", "value": "MADE"}]}}),
        ("JSON Patch", {"request_body": [{"op": "replace", "path": "/password", "value": "MADE"}]}),
        ("type", {"x": {"fields": [{"id": "f1", "type": "password", "value": "MADE"}]}}),
        ("id", {"x": {"inputs": [{"id": "password", "value": "MADE"}]}}),
        (
            "FastAPI's answer",
            {
                "response_body": {
                    "detail": [{"loc": ["body", "password"], "msg": "too short", "input": "MADE"}]
                }
            },
        ),
        (
            "CloudFormation",
            {"x": {"parameters": [{"parameterKey": "DBPassword", "parameterValue": "MADE"}]}},
        ),
        ("AWS tag", {"x": {"tags": [{"Key": "api_key", "Value": "MADE"}]}}, token("", 32)),
        (
            "GitLab's variable",
            {"request_body": {"key": "DEPLOY_TOKEN", "value": "MADE", "variable_type": "env_var"}},
            token("", 20),
        ),
        (
            "Terraform Cloud",
            {
                "request_body": {
                    "data": {
                        "type": "vars",
                        "attributes": {"key": "db_password", "value": "MADE", "sensitive": True},
                    }
                }
            },
        ),
        (
            "Kubernetes",
            {
                "x": {
                    "spec": {
                        "containers": [
                            {"name": "web", "env": [{"name": "STRIPE_SECRET_KEY", "value": "MADE"}]}
                        ]
                    }
                }
            },
            token("", 40),
        ),
        (
            "HAR header",
            {"x": {"request": {"headers": [{"name": "Authorization", "value": "MADE"}]}}},
            token("", 40),
        ),
        ("HAR parameter", {"x": {"postData": {"params": [{"name": "password", "value": "MADE"}]}}}),
        (
            "HAR cookie",
            {"x": {"cookies": [{"name": "sessionid", "value": "MADE", "httpOnly": True}]}},
            hex32,
        ),
        (
            "SCIM",
            {
                "request_body": {
                    "Operations": [{"op": "replace", "path": "password", "value": "MADE"}]
                }
            },
        ),
        (
            "SCIM, no path",
            {
                "request_body": {
                    "Operations": [{"op": "replace", "value": {"password": "MADE", "active": True}}]
                }
            },
        ),
        (
            "Keycloak",
            {
                "request_body": {
                    "credentials": [{"type": "password", "value": "MADE", "temporary": True}]
                }
            },
        ),
        (
            "OpenTelemetry",
            {"x": {"attributes": [{"key": "db.password", "value": {"stringValue": "MADE"}}]}},
        ),
        ("DynamoDB", {"x": {"item": {"id": {"N": "7"}, "password": {"S": "MADE"}}}}),
        (
            "Elastic Beanstalk",
            {
                "x": {
                    "optionSettings": [
                        {
                            "namespace": "aws:elasticbeanstalk:application:environment",
                            "optionName": "DB_PASSWORD",
                            "value": "MADE",
                        }
                    ]
                }
            },
        ),
        (
            "SSM",
            {
                "x": {
                    "requestParameters": {
                        "name": "/shop/db/password",
                        "type": "SecureString",
                        "value": "MADE",
                    }
                }
            },
        ),
        ("Windows event", {"x": {"EventData": {"Data": [{"@Name": "Password", "#text": "MADE"}]}}}),
        ("two-element list", {"x": {"headers": [["x-api-key", "MADE"]]}}, token("", 32)),
        ("label, value", {"x": {"answers": [{"label": "Passphrase", "value": "MADE"}]}}),
        (
            "title, content",
            {"x": {"fields": [{"title": "Access token", "value": "MADE", "short": True}]}},
            token("", 40),
        ),
        (
            "pydantic",
            {
                "x": {
                    "errors": [
                        {
                            "type": "string_too_short",
                            "loc": ["user", "new_password"],
                            "input": "MADE",
                            "ctx": {"min_length": 12},
                        }
                    ]
                }
            },
        ),
        (
            "GCP's metadata",
            {"x": {"metadata": {"items": [{"key": "windows-password", "value": "MADE"}]}}},
        ),
        (
            "1Password",
            {
                "x": {
                    "item": {
                        "fields": [
                            {
                                "id": "p1",
                                "purpose": "PASSWORD",
                                "label": "password",
                                "value": "MADE",
                            }
                        ]
                    }
                }
            },
        ),
        (
            "ECS override",
            {
                "x": {
                    "overrides": {
                        "containerOverrides": [
                            {"environment": [{"name": "JWT_SECRET", "value": "MADE"}]}
                        ]
                    }
                }
            },
            token("", 32),
        ),
        ("in JSON text", {"request_body": '{"vars":[{"name":"REDIS_PASSWORD","value":"MADE"}]}'}),
        (
            "LDAP",
            {
                "x": {
                    "modifications": [
                        {"operation": "replace", "attribute": "userPassword", "values": ["MADE"]}
                    ]
                }
            },
        ),
        (
            "query of Postman",
            {"x": {"query": [{"key": "access_token", "value": "MADE", "disabled": False}]}},
            token("", 40),
        ),
        ("parameter in a repr", "{'ParameterKey': 'DBPassword', 'ParameterValue': 'MADE'}"),
        ("option, cut", '{"optionName":"DB_PASSWORD","value":"MADE","x'),
        ("label in a repr", "[{'label': 'Password', 'answer': 'MADE'}]"),
        (
            "loc in a repr",
            "[{'type': 'string_too_short', 'loc': ('body', 'password'), 'msg': 'too short', "
            "'input': 'MADE', 'ctx': {'min_length': 8}}]",
        ),
    ],
    "custom field": [
        ("CEF, = in it", "CEF:0|a|b|1|2|n|5|cs1Label=Password cs1=x\\=MADE src=192.0.2.1"),
        ("CEF, = in it without its escape", "cs1Label=Password cs1=x=MADE src=192.0.2.1"),
        ("CEF", "CEF:0|A|P|1|100|Login|3|suser=ann cs1Label=password cs1=MADE"),
        ("CEF, label behind", "CEF:0|A|P|1|100|Login|3|cs2=MADE cs2Label=apiKey act=ok"),
        ("label with a remark", {"x": [{"label": "Wi-Fi password (guest)", "value": "MADE"}]}),
        ("German", {"x": {"feld": "Passwort", "neu": "MADE"}}),
        ("CEF, two words", "Login|3|suser=ann cs1Label=User Password cs1=correct MADE act=ok"),
        ("path of a change", {"x": {"path": "/password", "old": "x", "new": "MADE"}}),
        ("raw headers", {"x": {"rawHeaders": ["Host", "a.b", "Cookie", "sid=MADE"]}}),
        ("answer of a form", {"x": [{"label": "Password", "answer": "MADE"}]}),
    ],
    "name that holds it": [
        ("token=", {"x": {"token=MADE": 1}}, hex32),
        ("URL", {"x": {"https://svc:MADE@host": 1}}),
        ("Bearer", {"x": {"callers": {"Bearer MADE": 3}}}, token("", 40)),
        ("JWT", {"x": {"MADE": {"n": 1}}}, jwt),
        ("query", {"x": {"GET /login?password=MADE": 3}}),
        ("Basic", {"x": {"by": {"Basic MADE": 1}}}, basic),
        ("vendor's", {"x": {"usage": {"MADE": {"calls": 7}}}}, token("ghp_", 36)),
        ("vendor's, in a list", {"x": [{"MADE": True}]}, token("sk_live_", 24)),
        ("database's URL", {"x": {"pools": {"postgres://app:MADE@db/shop": "open"}}}),
        ("in JSON text", {"request_body": '{"https://ann:MADE@git.example.org/r":"cloned"}'}),
        ("connection string", {"x": {"Server=db;Uid=a;Pwd=MADE": 2}}),
        (
            "signed URL",
            {"x": {"cache": {"https://b.s3.amazonaws.com/o?X-Amz-Signature=MADE": "hit"}}},
            hex64,
        ),
        ("form as a name", {"x": {"user=ann&password=MADE": ""}}),
        ("JSON as a name", {"x": {'{"password":"MADE"}': ""}}),
        ("header's line", {"x": {"X-Api-Key: MADE": 1}}, token("", 32)),
    ],
    "label that holds it": [
        ("query", {"x": [["GET /login?password=MADE", 200]]}),
        ("URL", {"x": [["https://svc:MADE@host/", 1]]}),
        ("two texts", {"x": {"seen": [["password=MADE", "refused"]]}}),
        ("URL and state", {"x": [["postgres://app:MADE@db/shop", "up"]]}),
        ("name, vendor's", {"x": [{"name": "MADE", "value": 7}]}, token("npm_", 36)),
        ("key, query", {"x": [{"key": "/reset?token=MADE", "count": 2}]}, hex40),
        ("Bearer", {"x": [["Bearer MADE", 12]]}, token("", 40)),
        ("label", {"x": {"series": [{"label": "token=MADE", "value": 1.5}]}}, hex32),
        ("dimension", {"x": {"dimensions": [{"Name": "url", "Value": "https://ann:MADE@h/"}]}}),
        (
            "field",
            {"x": {"changes": [{"field": "https://svc:MADE@host/hook", "old": 1, "new": 2}]}},
        ),
        ("path", {"x": [{"op": "test", "path": "/a?password=MADE", "value": 1}]}),
        ("JWT", {"x": [["MADE", "expired"]]}, jwt),
        ("pair of texts", {"x": {"rows": [["api_key=MADE", "ok"], ["n", "m"]]}}, token("", 32)),
        ("loc", {"x": {"detail": [{"loc": ["query", "password=MADE"], "msg": "bad"}]}}),
    ],
}
