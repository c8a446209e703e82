"""Decide which values under a secret name say nothing secret, and stay: states, counts, masks."""

from __future__ import annotations

import re
from typing import Any

from audit_handler._record.redaction.names import (
    CODE,
    COUNTS,
    DIRECTORY,
    GIVEN,
    KIND,
    PLURAL,
    TOKEN,
    words_of,
)

__all__ = [
    "LONGEST_STATE",
    "MASK_BEGINS",
    "ODD",
    "REDACTED",
    "is_about_a_secret",
    "is_surely_secret",
    "stays",
]

REDACTED = "***REDACTED***"

_STATES = frozenset(
    """
    true false null none nil undefined n/a na - required optional success successful succeeded
    failure failed passed ok yes no on off enabled disabled active inactive expired valid invalid
    missing present absent set unset changed unchanged updated created deleted removed revoked
    rotated reset allow allowed deny denied accepted rejected bearer basic digest negotiate hidden
    redacted masked filtered encrypted sensitive anonymized anonymous anonymous@ unknown pending
    verified unverified empty blank reused not_set notset sent ending generated default
    """.split()
)
# Kinds of credentials: {"credential": "webauthn"}. A password may be such a word.
_METHODS = frozenset(
    """
    password token mfa otp totp sms email push webauthn fido fido2 u2f oauth oauth2 saml saml2 ldap
    sso jwt api certificate refresh access service session default kerberos ntlm
    """.split()
)
# What other systems put in place of a secret, and what names where it is.
_MASK = re.compile(
    r"""
    [*\u2022xX#.\-_]{3,} (?: [\w]{0,4} ) | [*\u2022]+ [\w]{1,4}
    | [\[({<*_]* \s* (?: redacted | hidden | masked | filtered | removed | sensitive | omitted
        | secret | value | hidden_due_to_security_reasons | protected | scrubbed | sanitized
        ) (?: [ _-] \w+ ){0,4} \s* [\])}>*_]+
    | (?:value[ ])? hidden[_ ]due[_ ]to[_ ]security[_ ]reasons [.]?
    | <\w{0,20}(?:removed|redacted|hidden|masked|omitted|scrubbed)> | ([^\w\s])\1{2,}
    | (?:hmac-)? sha\d{1,3} : [0-9a-f]{32,}
    | arn:[a-z-]*:[\w-]*:[\w-]*:\d*:[\w/:.+=@,-]*
    | https?://[\w.-]+(?:/[\w./-]*)?
    | (?-i: % [A-Z_]+ % ) | file:/[\w./-]+ | vault:[\w/#.-]+ | ENC\[[^\]]*\] | [a-z_][\w.]*\(\)
    | (?:os\.environ|os\.getenv|process\.env|env|secrets)[\w.]*(?:[\[(]["'\w-]*[\])])?
    | \$\d+ | %s | %\(\w+\)s | (?-i:\$[A-Z_][A-Z0-9_]*) | (?-i: : [a-z_]+ ) | \?
    | \$\{ [\w.:\-]+ \} | \{\{ [^{}]* \}\} | \$\( [^()]* \) | %%\d+
    """,
    re.IGNORECASE | re.VERBOSE,
)
_COUNT = re.compile(r"\d{1,3}(?:[.,]\d{1,3})?%?|\d{1,3}/\d{1,3}")
LONGEST_STATE = max(map(len, _STATES | _METHODS))
"""Characters of the longest text that stays as it is a state."""
ODD = DIRECTORY | PLURAL
"""Flags of a verdict under which other values stay too."""
MASK_BEGINS = frozenset(" \t\n*\u2022xX#.\\-_[({<$%hHaArRmMfFoOsSvVpP!?=+~@^&|/,;:'\"`")
"""What a mask begins with."""
_PATH = re.compile(r"(?:[A-Za-z]:[\\/]|~?/|\.{1,2}/)[^\n]*|~")

_SAYS_WHICH = frozenset(
    """
    id ids uid uids uuid uuids name names type types kind arn scope scopes action actions role roles
    permission permissions status state created updated issued expires expiry expiration expired at
    on by time times timestamp date jti sub iss aud exp iat nbf alg algorithm kty kid region
    provider issuer audience subject user username owner path method seconds minutes hours days ttl
    count length version description reason label labels tag tags used ip title fingerprint prefix
    last namespace duration mode format host email url tenant project principal policy policies ref
    """.split()
)


def is_about_a_secret(name: str) -> bool:
    """Return whether *name*, in an object under a secret's name, tells which one it is."""
    words = words_of(name)
    while words and words[-1].isdigit():
        del words[-1]
    return bool(words) and words[-1] in _SAYS_WHICH


def is_surely_secret(text: str, verdict: int) -> bool:
    """Return whether `stays` is false for *text* at first sight, as for most secrets."""
    return len(text) > LONGEST_STATE and text[0] not in MASK_BEGINS and not verdict & ODD


def stays(value: Any, verdict: int) -> bool:
    """
    Return whether *value*, one that is not a container, says nothing secret.

    Args:
        verdict: Of its name, a secret one.
    """
    if value is None or value == "":
        return True
    kind = verdict & KIND
    if kind == GIVEN:
        return False
    if type(value) is bool:
        return True
    if type(value) is not str:
        return bool(verdict & COUNTS)
    if is_surely_secret(value, verdict):
        return False
    text = value.strip()
    if kind == CODE and len(text) < 3 and text.isdecimal():
        return True
    lower = text.lower()
    return (
        not text
        or lower in _STATES
        or (kind == TOKEN and lower in _METHODS)
        or (text[0] in MASK_BEGINS and len(text) < 256 and _MASK.fullmatch(text) is not None)
        or (bool(verdict & DIRECTORY) and _PATH.fullmatch(text) is not None)
        or (bool(verdict & PLURAL) and text.isdecimal())
        # {"pass": "41", "fail": "0"}, "97.5%", "12/12"; many digits are a secret.
        or (bool(verdict & COUNTS) and _COUNT.fullmatch(text) is not None)
    )
