"""
Find out quickly that a value holds no secret, which is so for nearly all values.

One pattern for all that the rules need: the end of a secret's name, the beginning of a vendor's
token, an escape. It is searched for by the regular expressions of Rust, which `pydantic_core`
brings along: they read a text once, at about an eighth of the time of `re`, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache

from pydantic_core import SchemaError, SchemaValidator, core_schema

from audit_handler._record.redaction.names import NOUNS, TAILS, SecretNames, composed
from audit_handler._record.redaction.values import REDACTED
from audit_handler._record.redaction.vendors import PREFIXED, UNPREFIXED

__all__ = ["Suspects", "compiled"]


def _any_of(words: Sequence[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


def _anything_but(text: str) -> str:
    """
    Return a pattern for what does not begin with *text*, which ends in a quote, or does so with two
    quotes. (Rust has no lookahead for that.)
    """
    pattern = '"'
    for letter in map(re.escape, reversed(text)):
        pattern = f"(?:[^{letter}]|$|{letter}{pattern})"
    return pattern


# What stands behind a secret's name in compact JSON that was not redacted.
_UNMARKED = _anything_but(f':"{REDACTED}"')


def _pattern_of_nouns() -> str:
    """
    Return a pattern for the end of a name that `SecretNames` takes for secret, in JSON without a
    mark for its value.
    """
    separators = r"[^a-z0-9\"]{0,4}"
    nouns = [noun.replace("-", separators) for nouns in NOUNS.values() for noun in nouns.split()]
    return (
        rf"(?:{_any_of(nouns)})s?(?:{separators}(?:{_any_of(list(TAILS))}|[0-9]{{1,3}}))*"
        rf"[_.-]*(?:[^a-z0-9_.\"-]|$|\"{_UNMARKED})"
    )


# Letters that are the beginning of words too: "pat" of "path_params".
_LIKE_A_WORD = re.compile(r"[A-Za-z]{1,3}")


def _pattern_of_vendors() -> str:
    prefixes, whole = [], []
    for _, beginnings, rest in PREFIXED:
        for prefix in beginnings.split():
            if _LIKE_A_WORD.fullmatch(prefix):
                whole.append(prefix + rest)
            else:
                prefixes.append(re.escape(prefix))
    tokens = rf"(?:{_any_of(prefixes)})[\w.+/=~-]{{8}}|{_any_of(whole)}"
    return rf"(?:^|[^A-Za-z0-9])(?:{tokens})|" + "|".join(inside for _, inside, _ in UNPREFIXED)


# Between two arguments, in a line or in a list.
_NEXT = r"(?:[ \t]+|\\*\",\s?\\*\")"
# The boundaries of words are those of ASCII: at others, the fast engine of Rust gives up at the
# first letter that is not ASCII, and everything takes 500 times as long.
_RULES = "|".join(
    (
        _pattern_of_nouns(),
        # What has no noun: commands, parameters of URLs, SQL; names that make `Walk` look at what
        # stands beside them.
        r"(?-u:\b)(?:mysql|ldap|sqlcmd|osql|redis|mongo|rabbitmqctl|sqlplus|impdp|expdp|rman|mosquitto"
        r"|htpasswd|sshpass|snmp|wpa_|identified|isakmp|tacacs-|radius-|certutil|smbclient|pdo"
        r"|sp_addlogin|auth=\(|login\("
        rf"|net1?(?:\.exe)?{_NEXT}us|sudo{_NEXT}-s)",
        # With arguments in a line or in a list.
        r"(?-u:\b)(?:docker|podman|helm|skopeo|buildah|nerdctl|oras|crane|az|bcp|cargo|vault|lftp"
        r"|zip|unzip|7z|setx|snyk|curl|kubectl|twine|oc|cqlsh)(?:[ \t]|\\*\",)",
        r"basicauth|credentials?\(|[\s\"]/r?p[: ]|[ ]a1=\\*\"",
        # Transcripts; logins of Docker and npm.
        rf"auth{_NEXT}(?:plain|login|xoauth2|oauthbearer){_NEXT}",
        r"auth\\*\"?[ \t]+\\*\"|login[ \t]+\\*\"",
        r"auth(?:\\*[\"'])?\s{0,3}[:=]\s{0,3}(?:\\*[\"'])?[a-z0-9+/]{8}",
        r"(?:^|[^\w.-])(?:-u|-a|--user|--auth|--proxy)|-stdin(?-u:\b)|securestring",
        r"(?-u:\b)(?:sig|signature|code)=|api[^\s\"]*[?&]key=",
        r"\\*\"_*(?:code|kty|columns|ciphertext_*blob|secret_*id)_*\\*\":",
        r"\\*\"kind\\*\":\s*\\*\"secret",
        # "123456 is your code".
        r"[ \t](?:is|was|as|ist)[ \t]+(?:your|ihr|dein)[ \t]+code",
        # Shapes.
        r"(?-u:\b)(?:bearer|basic|token|apikey|negotiate|ntlm|digest) |---- ?begin",
        r"/(?:reset|password|confirm|verif|unsubscribe|magic|activat)[a-z_-]*/",
        r"://[^\s\"]*@|:(?:thin|oci\d?):|hooks\.|webhook",
        rf"(?-i:{_pattern_of_vendors()})",
        r"\$(?:2[abxy]|[1567y]|gy|md5|sha1|argon2\w*|scrypt|pbkdf2[\w-]*|bcrypt-sha256)\$",
        # A card's number.
        r"(?:^|[^\w./+-])[2-6]\d{3}[ -]?\d{4,6}[ -]?\d{4}",
    )
)
# Behind these a secret may hide.
_ESCAPES = (
    r"%[0-9a-f]{2}|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}"
    r"|&(?:quot|apos|amp|lt|gt|colon|equals|#\d{1,4}|#x[0-9a-f]{1,4});"
)

# In JSON: a control character, or a backslash.
_ESCAPED = re.compile(r"\\([nrtbf\\])")

# Texts that are not secret but need the slow rules to say so, such as a message about a password.
_KNOWN_LIMIT = 1024
_KNOWN_LENGTH = 512


# The beginning or the end of a text: in the JSON of a whole value there is another one.
_ANCHOR = re.compile(r"(?<!\\)(?:\\\\)*(?:\$|(?<!\[)\^|\\[AZ])")


def _search_of(pattern: str, *more: str) -> Callable[[str], bool]:
    """
    Return a function that tells whether one of these patterns is in a text.

    Raises:
        SchemaError: Rust does not know one of them; it cannot look around, for example.
    """
    search = compiled(pattern)
    if not more:
        return search
    searches = [search, *map(compiled, more)]
    return lambda text: any(each(text) for each in searches)


@cache
def compiled(pattern: str) -> Callable[[str], bool]:
    schema = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
    return SchemaValidator(schema).isinstance_python


def _composed(text: str) -> str:
    """
    Return *text* with its letters composed, a sign for what is no text of Rust, and no marks: the
    quotes around them may have been other signs.
    """
    text = text.encode("utf-8", "replace").decode()
    other = composed(text)
    return other if other == text else other.replace(REDACTED, "?")


def _shown(escaped: re.Match[str]) -> str:
    return escaped[0] if escaped[1] == "\\" else " "


def _always(_text: str) -> bool:
    return True


class Suspects:
    """
    Looks for texts that may hold a secret. Remembers some that do not, so one instance serves all
    threads.

    Args:
        names: Those of secrets.
        patterns: Of more secrets.
        use_rules: False looks for the parts of *names* and *patterns* only.
    """

    def __init__(
        self, names: SecretNames, patterns: Sequence[re.Pattern[str]], *, use_rules: bool
    ) -> None:
        parts = (
            # Up to three letters match without separators: "ssn" is not in "business name".
            re.escape(part) if len(part) <= 3 else "[_. -]{0,3}".join(map(re.escape, part))
            for part in names.parts
        )
        pattern = "|".join((*parts, _ESCAPES, *([_RULES] if use_rules else [])))
        self.patterns: tuple[str, ...] = (f"(?i){pattern}", *(each.pattern for each in patterns))
        """What is looked for, in the form of Rust; none if every text must go through the rules."""
        try:
            if any(_ANCHOR.search(each.pattern) for each in patterns):
                self.patterns = ()
            self.search = _search_of(*self.patterns) if self.patterns else _always
        except SchemaError:
            self.patterns, self.search = (), _always
        """Returns whether there may be a secret in a text of ASCII, of any form."""
        self.known: set[str] = set()
        """Texts that `may_be_in` suspects, and that hold no secret."""

    def may_be_in(self, text: str) -> bool:
        """Return whether *text*, of any form, may hold a secret."""
        return self.search(text) or (not text.isascii() and self.search(_composed(text)))

    def may_be_in_json(self, text: str) -> bool:
        """Return whether the JSON *text* may hold a secret."""
        # An "n" behind a backslash is no letter before a token.
        return self.may_be_in(text) or ("\\" in text and self.may_be_in(_ESCAPED.sub(_shown, text)))

    def is_clean(self, text: str) -> bool:
        """Return whether *text*, which `may_be_in` suspects, is known to hold no secret."""
        return text in self.known

    def remember(self, text: str) -> None:
        """Remember that *text* holds no secret."""
        if len(text) <= _KNOWN_LENGTH:
            if len(self.known) >= _KNOWN_LIMIT:
                self.known.clear()
            self.known.add(text)
