"""Innocents that describe a secret or a token: kinds, ids, times, decisions."""

from __future__ import annotations

from tests.support.redaction.values import HEX, Listed, base64_of, digits, hex32, token, uuid

INNOCENTS: Listed = {
    "about a secret": [
        ("pass for a bus", {"x": {"bus_pass": "zone 2, valid to 2026-07-31"}}, "zone 2, valid to"),
        ("secret_id alone", {"x": {"secret_id": "prod/db", "version": 3}}, "prod/db"),
        (
            "Vault's own audit",
            {"x": {"role_id": f"hmac-sha256:{'ab' * 32}", "secret_id": f"hmac-sha256:{'cd' * 32}"}},
            "cdcdcdcd",
        ),
        ("role and secret of AWS", {"x": {"roleId": "AROA1", "secretId": "prod/db"}}, "prod/db"),
        ("code of an error", {"x": {"code": "ECONNREFUSED", "client_id": "web"}}, "ECONNREFUSED"),
        (
            "alternative text",
            {"x": {"type": "image", "name": "pin", "alt": "A map pin"}},
            "A map pin",
        ),
        ("keywords", {"x": {"palabras_clave": "viajes, playa"}}, "viajes, playa"),
        ("method of auth", {"x": {"auth": "oauth2-device-flow", "auths": 2}}, "oauth2-device-flow"),
        ("id of auth", {"x": {"auth": "c2Vzc2lvbjEyMzQ1Ng=="}}, "c2Vzc2lvbjEyMzQ1Ng=="),
        ("answer", {"x": [{"label": "Colour", "answer": "blue-green"}]}, "blue-green"),
        ("secretId", {"x": {"requestParameters": {"secretId": "prod/db/main"}}}, "prod/db/main"),
        ("secret_name", {"x": {"target": {"secret_name": ["db-main"]}}}, "db-main"),
        (
            "SecretARN",
            {
                "x": {
                    "SecretARN": (
                        "arn:aws:secretsmanager:eu-central-1:111122223333:secret:prod/db-MADE"
                    )
                }
            },
            "prod/db-MADE",
            token("", 6),
        ),
        (
            "secretKeyRef",
            {"x": {"valueFrom": {"secretKeyRef": {"name": "db-main", "key": "password"}}}},
            "db-main",
        ),
        ("imagePullSecrets", {"x": {"imagePullSecrets": [{"name": "registry-eu"}]}}, "registry-eu"),
        (
            "secretProperties",
            {"x": {"secretProperties": {"type": "application/x-pkcs12"}}},
            "application/x-pkcs12",
        ),
        ("secretVersion", {"x": {"secretVersion": "7"}}, '"secretVersion":"7"'),
        (
            "SecretString's stage",
            {
                "x": {
                    "responseElements": {"versionId": "MADE", "secretVersionStages": ["AWSCURRENT"]}
                }
            },
            "AWSCURRENT",
            uuid,
        ),
        ("secretRef", {"x": {"envFrom": [{"secretRef": {"name": "shop-env"}}]}}, "shop-env"),
        (
            "secretName of a volume",
            {"x": {"volumes": [{"name": "tls", "secret": {"secretName": "web-tls"}}]}},
            "web-tls",
        ),
        ("secret_scanning", {"x": {"secret_scanning": "enabled"}}, '"secret_scanning":"enabled"'),
        (
            "secret_type",
            {"x": {"alert": {"number": 42, "secret_type": "github_personal_access_token"}}},
            "github_personal_access_token",
        ),
        ("secrets_count", {"x": {"secrets_count": 14}}, '"secrets_count":14'),
        (
            "secret_rotated_at",
            {"x": {"secret_rotated_at": "2026-11-01T08:00:00Z"}},
            "2026-11-01T08:00:00Z",
        ),
        ("client_secret_expires_at", {"x": {"client_secret_expires_at": 1795672000}}, "1795672000"),
        (
            "secretKeyRef's optional",
            {"x": {"secretKeyRef": {"name": "mail", "optional": True}}},
            '"optional":true',
        ),
        (
            "objectRef",
            {"x": {"objectRef": {"resource": "secrets", "namespace": "shop", "name": "db-creds"}}},
            "db-creds",
        ),
        (
            "Vault's mount",
            {"x": {"request": {"mount_type": "kv", "path": "secret/data/shop/db"}}},
            "secret/data/shop/db",
        ),
        (
            "GCP's resource",
            {"x": {"resourceName": "projects/77/secrets/db-main/versions/3"}},
            "secrets/db-main/versions/3",
        ),
        (
            "secretStore",
            {"x": {"secretStoreRef": {"kind": "ClusterSecretStore", "name": "vault-eu"}}},
            "vault-eu",
        ),
    ],
    "about a token": [
        ("tokenType", {"x": {"tokenType": "Bearer"}}, '"tokenType":"Bearer"'),
        ("token_type", {"x": {"auth": {"token_type": "service"}}}, '"token_type":"service"'),
        ("token_policies", {"x": {"auth": {"token_policies": ["default", "ops"]}}}, '"ops"'),
        ("max_tokens", {"request_body": {"model": "m-1", "max_tokens": 4096}}, '"max_tokens":4096'),
        (
            "prompt_tokens",
            {"response_body": {"usage": {"prompt_tokens": 812, "total_tokens": 1532}}},
            '"prompt_tokens":812',
        ),
        ("token_ttl", {"x": {"token_ttl": 3600}}, '"token_ttl":3600'),
        ("tokenExpirationTime", {"x": {"tokenExpirationTime": "1795672000123"}}, "1795672000123"),
        ("hashed_token", {"x": {"hashed_token": "MADE"}}, "MADE", base64_of(32)),
        ("token_id", {"x": {"token_id": "MADE"}}, "MADE", digits(10)),
        ("isServiceToken", {"x": {"isServiceToken": False}}, '"isServiceToken":false'),
        ("TokenElevationType", {"x": {"TokenElevationType": "%%1936"}}, "%%1936"),
        (
            "client_token_accessor",
            {"x": {"client_token_accessor": "MADE"}},
            "MADE",
            token("hmac-sha256:", 64, HEX),
        ),
        (
            "serviceAccountToken",
            {"x": [{"serviceAccountToken": {"path": "t/1", "expirationSeconds": 3607}}]},
            '"expirationSeconds":3607',
        ),
        ("tokenName", {"x": {"tokenName": "nightly export"}}, "nightly export"),
        ("token_issue_time", {"x": {"token_issue_time": "2026-11-01T20:28:40Z"}}, "20:28:40"),
        ("tokenId", {"x": {"tokenId": "MADE"}}, "MADE", uuid),
        ("token_name", {"x": {"token_name": "ci-deploy"}}, "ci-deploy"),
        ("token_scopes", {"x": {"token_scopes": "repo,workflow"}}, "repo,workflow"),
        (
            "programmatic_access_type",
            {"x": {"programmatic_access_type": "Fine-grained personal access token"}},
            "Fine-grained personal access token",
        ),
        (
            "completion_tokens",
            {
                "response_body": {
                    "usage": {
                        "completion_tokens": 77,
                        "completion_tokens_details": {"reasoning_tokens": 12},
                    }
                }
            },
            '"reasoning_tokens":12',
        ),
        (
            "input_tokens",
            {"x": {"usage": {"input_tokens": 2048, "cache_read_input_tokens": 1024}}},
            '"cache_read_input_tokens":1024',
        ),
        ("tokensUsed", {"x": {"tokensUsed": 5123}}, '"tokensUsed":5123'),
        ("tokenLimit", {"x": {"tokenLimit": 8192}}, '"tokenLimit":8192'),
        (
            "tokenIssuerType",
            {"x": {"tokenIssuerType": "AzureAD", "tokenIssuerName": "sts-eu"}},
            "AzureAD",
        ),
        (
            "uniqueTokenIdentifier's kind",
            {"x": {"incomingTokenType": "primaryRefreshToken"}},
            "primaryRefreshToken",
        ),
        (
            "refresh_token_expires_in",
            {"x": {"refresh_token_expires_in": 86400}},
            '"refresh_token_expires_in":86400',
        ),
        (
            "automountServiceAccountToken",
            {"x": {"automountServiceAccountToken": False}},
            '"automountServiceAccountToken":false',
        ),
        (
            "token_endpoint",
            {"x": {"token_endpoint": "https://idp.example.org/oauth2/token"}},
            "https://idp.example.org/oauth2/token",
        ),
        (
            "token_endpoint_auth_method",
            {"x": {"token_endpoint_auth_method": "private_key_jwt"}},
            "private_key_jwt",
        ),
        (
            "accessTokenLifetimeMinutes",
            {"x": {"policy": {"accessTokenLifetimeMinutes": 60}}},
            '"accessTokenLifetimeMinutes":60',
        ),
        ("token-status", {"x": {"token-status": "revoked"}}, '"revoked"'),
        (
            "token's object",
            {"x": {"token": {"id": "tok-77", "type": "service", "scopes": ["read:api"]}}},
            "tok-77",
        ),
        ("hasAccessToken", {"x": {"hasAccessToken": True}}, '"hasAccessToken":true'),
        ("tokenizer", {"x": {"tokenizer": "cl100k_base"}}, "cl100k_base"),
        ("token_created_by", {"x": {"token_created_by": "u-ann"}}, "u-ann"),
    ],
    "authorization": [
        (
            "authorizationInfo",
            {"x": {"authorizationInfo": [{"granted": True, "permission": "storage.buckets.list"}]}},
            "storage.buckets.list",
        ),
        ("decision", {"x": {"annotations": {"authorization.k8s.io/decision": "allow"}}}, '"allow"'),
        (
            "Azure, action",
            {
                "x": {
                    "authorization": {
                        "action": "Microsoft.Network/write",
                        "scope": "/subscriptions/1",
                    }
                }
            },
            "Microsoft.Network/write",
        ),
        (
            "Azure, evidence",
            {"x": {"authorization": {"evidence": {"role": "Owner", "principalType": "User"}}}},
            '"Owner"',
        ),
        (
            "enableRbacAuthorization",
            {"x": {"enableRbacAuthorization": True}},
            '"enableRbacAuthorization":true',
        ),
        (
            "reason",
            {
                "x": {
                    "annotations": {
                        "authorization.k8s.io/reason": 'RBAC: allowed by ClusterRoleBinding "ops"'
                    }
                }
            },
            "RBAC: allowed by ClusterRoleBinding",
        ),
        ("authorizationDecision", {"x": {"authorizationDecision": "DENY"}}, '"DENY"'),
        ("authorized", {"x": {"authorized": True}}, '"authorized":true'),
        (
            "authorization_endpoint",
            {"x": {"authorization_endpoint": "https://idp.example.org/authorize"}},
            "https://idp.example.org/authorize",
        ),
        ("authorizationType", {"x": {"authorizationType": "AWS_IAM"}}, "AWS_IAM"),
        (
            "Azure, scope",
            {
                "x": {
                    "authorization": {
                        "action": "Microsoft.KeyVault/vaults/read",
                        "scope": "/subscriptions/MADE/resourceGroups/shop",
                    }
                }
            },
            "MADE/resourceGroups/shop",
            uuid,
        ),
        (
            "Azure, evidence's role",
            {"x": {"authorization": {"evidence": {"roleAssignmentId": "MADE", "role": "Reader"}}}},
            "MADE",
            hex32,
        ),
        ("authorizerId", {"x": {"authorizerId": "auth-9k"}}, "auth-9k"),
        (
            "authorization_failures",
            {"x": {"authorization_failures": 3}},
            '"authorization_failures":3',
        ),
        ("authentication_method", {"x": {"authenticationMethod": "PASSWORDLESS"}}, "PASSWORDLESS"),
        (
            "authenticationContext",
            {
                "x": {
                    "authenticationContext": {
                        "authenticationProvider": "OKTA_AUTHENTICATION_PROVIDER",
                        "credentialType": "OTP",
                    }
                }
            },
            "OKTA_AUTHENTICATION_PROVIDER",
        ),
        (
            "credentialType",
            {"x": {"authenticationContext": {"credentialType": "PASSWORD"}}},
            '"credentialType":"PASSWORD"',
        ),
        ("auth_type", {"x": {"auth_type": "ldap", "author": "ann"}}, "ldap"),
        (
            "authorizationRules",
            {"x": {"authorizationRules": [{"name": "send-only", "rights": ["Send"]}]}},
            "send-only",
        ),
    ],
}
