"""
Decide by its words whether a key names a secret: by the noun at its end, because that is what its
value is. The value of ``access_token`` is a token, that of ``token_type`` is a type.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote

__all__ = [
    "CODE",
    "COUNTS",
    "DIRECTORY",
    "GIVEN",
    "HEADER",
    "KIND",
    "LABEL",
    "LOOK",
    "NOUNS",
    "PASSWORD",
    "PLURAL",
    "RIGHTS",
    "TAILS",
    "TEXT",
    "TOKEN",
    "TOKENS",
    "VALUE",
    "SecretNames",
    "composed",
    "lowered",
    "words_of",
]

PASSWORD, CODE, TOKEN, HEADER, RIGHTS, GIVEN = range(1, 7)
"""
Kinds of secrets:

- PASSWORD: people choose it, so it is any text, with spaces too, and any number;
- CODE: digits, as text or as a number;
- TOKEN: a machine makes it, so it is no word of a language;
- HEADER: a whole line;
- RIGHTS: a whole line as text; a structure of that name tells who may do what, and stays;
- GIVEN: a key that the application names; all of its value is secret.
"""
COUNTS, LABEL, VALUE, DIRECTORY, PLURAL, LOOK, TEXT, TOKENS = 8, 16, 32, 64, 128, 256, 512, 1024
"""
Flags of a verdict: a number under this secret's name says how many there are; the key's value is
the name of the object's other values; the key is that of such a value; the value of ``PWD`` may be
a directory; this secret's name is a plural; whether the value is secret depends on the object; the
name itself may hold a secret; the name is ``tokens``, which are parts of a text too.
"""
KIND = 7
"""The bits of a verdict that hold the kind of a secret; 0 if the key names none."""

NOUNS = {
    PASSWORD: """
        pass-word passwd passwort kennwort pass-phrase passwrd pwd pw pass dbpass userpass rootpass
        adminpass smtppass ftppass storepass keypass dbpwd seed-phrase mnemonic recovery-phrase
        secret-phrase secret-word secret-answer security-answer bind-pw root-pw require-pass
        master-auth pre-shared-key psk authtok snmp-community community-string contraseña contrasena
        clave senha mot-de-passe mdp пароль 密码 密碼 パスワード 비밀번호 parola-d-ordine parola
        hasło haslo wachtwoord lösenord losenord heslo adgangskode salasana şifre sifre geheimnis
        memorable-word memorable-phrase jelszó jelszo lozinka kata-sandi
        كلمة-المرور كلمة-السر mật-khẩu mat-khau
    """,
    CODE: """
        pass-code pin otp totp cvv cvc cvv2 cvc2 csc ssn pan card-number card-no credit-card
        debit-card social-security-number social-security-no social-security security-code
        device-code mfa-code otp-code totp-code sms-code 2-fa-code tfa-code two-factor-code
        verification-code confirmation-code one-time-code pin-code auth-code authorization-code
        authentication-code access-code log-in-code activation-code reset-code recovery-code
        back-up-code scratch-code unlock-code pin-number pin-block photo-tan sms-tan
        bestätigungscode bestaetigungscode sicherheitscode einmalcode
    """,
    TOKEN: """
        token secret credential cred jwt csrf xsrf assertion api-key private-key secret-key
        access-key account-key shared-key signing-key signature-key encryption-key decryption-key
        master-key root-key ssh-key tls-key client-key server-key ca-key subscription-key auth-key
        authentication-key authorization-key app-key application-key web-hook-key hmac-key
        unseal-key wrapping-key symmetric-key admin-key integration-key key-material saml-response
        login-ticket code-verifier oauth-verifier dpop bearer amz-signature goog-signature
        shared-access-signature otp-seed totp-seed license-key fernet-key functions-key function-key
        queue-key workspace-key instrumentation-key stream-key session-ticket jsessionid phpsessid
        auth-user-info pan-key recovery-key api-schlüssel api-schluessel clave-api clave-secreta
        chave-api chave-secreta clé-api clé-secrète
    """,
    HEADER: "cookie connection-string conn-str",
    RIGHTS: "authorization user-data",
}
"""What a secret's name ends in, by kind; a hyphen stands for any separator, or none."""
# Numbers of these, and of every plural, are counts: {"token": 128}, {"pass": 41, "fail": 0}.
_COUNTED = frozenset({"token", "pass"})
# These end in a noun, and are no secrets: what a query goes on with, what makes it idempotent, and
# what is left of a secret when it is gone.
_HARMLESS = (
    *("nexttoken", "pagetoken", "continuationtoken", "continuetoken", "synctoken", "resumetoken"),
    *("publickeytoken", "clientrequesttoken", "creatorrequesttoken"),
    *("idempotencytoken", "changetoken", "sequencetoken", "paginationtoken"),
    # The name of a Secret in charts of Helm; a keyword.
    *("existingsecret", "palabraclave", "palabrasclave"),
    *("hashedtoken", "hashedpassword", "hashedsecret", "maskedtoken", "maskedpassword"),
)
_TICKETS = frozenset(
    f"{kind}pass" for kind in ("boarding", "bus", "season", "day", "ski", "parking", "battle")
)
# Of AWS, in its own spelling; Vault's client_token is a secret.
_IDEMPOTENT = ("clientToken", "ClientToken")
TAILS = frozenset(
    """
    value values val data string str plain plaintext cleartext clear text raw confirm confirmation
    again repeat repeated retype verify new old current previous base b pem der json hex header
    encoded encrypted bytes binary content contents hint c s field input box prod dev test staging v
    provisoire temporaire provisional temp tmp temporary primary secondary live sandbox ro rw
    readonly root admin
    """.split()
)
"""Words behind the noun that do not change what the value is."""
# In a text; without a limit, "cvc2cvc2..." is read to its end from each place.
_MOST_TAILS = 6
# Up to so many letters a noun is a whole word: "compass" is no "pass", "shipping" no "pin".
_SHORT = 4
# Longer ones that are the end of other words too: "enclave".
_WHOLE_ONLY = frozenset({"clave", "heslo", "haslo", "sifre"})

# An object's part that these end in says what the object's other values are; before it may stand
# what it is the name of: "ParameterKey", "OptionName".
_LABELS = frozenset(
    """
    name key field property displayname label attribute id type path loc header param parameter
    option setting variable var title column k feld champ campo
    """.split()
)
_VALUES = frozenset(
    """
    value values old new from to before after input data string text content previous prev current
    original updated modified val raw default int v answer
    neu wert ancien nouveau valeur antiguo nuevo valor anterior vecchio nuovo valore
    """.split()
)
_LABELLED = frozenset(
    """
    parameter param option setting field attribute property header column variable env tag config
    prop
    """.split()
)
# A code of OAuth, a key as JSON (RFC 7517), a table as JSON, a Secret of Kubernetes, a key of AWS
# KMS, a login of Docker or npm, an AppRole of Vault: `walk` looks at the value of these, and at
# what is beside it.
_LOOK = frozenset({"code", "kty", "columns", "kind", "ciphertextblob", "auth", "secretid"})

# Key names come from code and schemas, so they are few and short; the limits are for hostile bodies
# with random keys.
_KNOWN_KEYS_LIMIT = 4096
_KNOWN_KEY_LENGTH = 128
# Names that an application logs secrets under; each is looked for in each suspicious text.
_USUAL_LIMIT = 16
# So many words at the end of a name decide, and so many characters.
_LAST_WORDS = 12
_LONGEST_END = 256

# Too short and too plain for a token.
_PLAIN_NAME = re.compile(r"[\w.-]{,14}|[a-z]+(?:[._-][a-z]+){,6}|[A-Za-z]{,30}", re.ASCII)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+")


# Letters of full width, which East Asian keyboards type.
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
# The long s and the sign of Kelvin are the small letters of "S" and "K" too.
_FULL_WIDTH |= {0x17F: ord("s"), 0x212A: ord("k")}


def composed(text: str) -> str:
    """
    Return *text* with each letter and its accents as one character (NFC), and letters of full width
    as those of ASCII.
    """
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", text).translate(_FULL_WIDTH)


def words_of(name: str) -> list[str]:
    """Return the words of *name* in lower case: of ``userPIN``, ``user_pin``, ``user%5Bpin%5D``."""
    if "%" in name:
        name = unquote(name)
    return [word.lower() for word in _WORD.findall(composed(name))]


class SecretNames:
    """
    Judges keys. Its only state is a cache of key names, so one instance serves all threads.

    Args:
        keys: Parts of keys whose values are secret too, in any case and with any separators.
        exceptions: Keys whose values are not, whatever else says so, in any case and with any
            separators.
        use_nouns: False judges by *keys* only.
    """

    def __init__(
        self, keys: Iterable[str] = (), exceptions: Iterable[str] = (), *, use_nouns: bool = True
    ) -> None:
        self.parts = frozenset("".join(words_of(key)) or key for key in keys)
        """*keys* without case and separators, unless they consist of separators alone."""
        self._exceptions = frozenset("".join(words_of(key)) for key in exceptions)
        self._use_nouns = use_nouns
        # For texts: what a secret name may end in. Its left end is for `judge`.
        patterns = [
            r"[_\-. ]{0,3}".join(map(re.escape, part)) + r"[\w.\-]*" for part in sorted(self.parts)
        ]
        if use_nouns:
            patterns.append(_NOUN_PATTERN)
        self.pattern = "|".join(patterns) or r"(?!)"
        """A pattern for the end of a secret name in a text that `lowered` returns."""
        self.verdicts: dict[str, int] = {}
        """Verdicts on the keys that were judged before."""
        self.usual: tuple[tuple[str, str, int], ...] = ()
        """
        The newest of them under which a text is secret, and which say nothing of what stands
        beside it: the key, what stands before the text in compact JSON, and the verdict.
        """

    def judge(self, key: str) -> int:
        """Return the verdict on *key*: its kind and its flags."""
        verdict = self.verdicts.get(key)
        if verdict is None:
            verdict = self._verdict(key) | TEXT * (_PLAIN_NAME.fullmatch(key) is None)
            if len(key) <= _KNOWN_KEY_LENGTH:
                if len(self.verdicts) >= _KNOWN_KEYS_LIMIT:
                    # All at once: keeping the newest would cost every lookup.
                    self.verdicts.clear()
                    self.usual = ()
                self.verdicts[key] = verdict
                kind = verdict & KIND
                if kind and kind != GIVEN and not verdict & (LABEL | VALUE | LOOK | TEXT):
                    others = [usual for usual in self.usual if usual[0] != key]
                    self.usual = ((key, f'"{key}":"', verdict), *others[: _USUAL_LIMIT - 1])
                    for forgotten, _, _ in others[_USUAL_LIMIT - 1 :]:
                        # It is judged again, and so is among the newest, when it comes again.
                        self.verdicts.pop(forgotten, None)
        return verdict

    def _verdict(self, key: str) -> int:
        words = words_of(key)
        joined = "".join(words)
        if joined in self._exceptions or joined in _TICKETS:
            return 0
        if any(part in joined or part in key for part in self.parts):
            return GIVEN
        if not words:
            return 0
        if key.endswith(_IDEMPOTENT):
            return 0
        flags = 0
        about = words[0] in _LABELLED and len(words) == 2
        if joined in _LABELS or (about and words[1] in _LABELS):
            flags |= LABEL
        if all(word in _VALUES for word in words) or (about and words[1] in _VALUES):
            flags |= VALUE
        if joined in _LOOK and key.lower().replace("_", "") == joined:
            flags |= LOOK
        if self._use_nouns:
            words = words[-_LAST_WORDS:]
            kind = self._kind(words, "".join(words))
            # The words alone would find "password" in "pa_ssw_ord", and `Suspects` would not.
            if kind and _SEEN.search(lowered(composed(unquote(key[-_LONGEST_END:])))):
                flags |= kind
        return flags

    def _kind(self, words: list[str], joined: str) -> int:
        if joined in _OF_WORDS or joined == "dpop":
            return _WHOLE[joined]  # "DPoP" has three words
        while words:
            if joined.endswith(_HARMLESS):
                return 0
            last = words[-1]
            found = _WHOLE.get(last) or (joined.endswith(_ENDS) and _longest(joined))
            if found:
                # PWD and OLDPWD are set by shells, DB_PWD is not.
                return found if len(words) == 1 or words[0] == "old" else found & ~DIRECTORY
            if not (last in TAILS or last.isdigit()):
                return 0
            words = words[:-1]
            joined = joined[: -len(last)]
        return 0


def _longest(joined: str) -> int:
    return next(verdict for noun, verdict in _LONG if joined.endswith(noun))


def _verdicts() -> dict[str, int]:
    verdicts: dict[str, int] = {}
    for kind, nouns in NOUNS.items():
        for noun in nouns.replace("-", "").split():
            verdicts[noun] = kind | COUNTS * (noun in _COUNTED) | DIRECTORY * (noun == "pwd")
            verdicts[noun + "s"] = (
                kind | COUNTS | PLURAL * (kind != CODE) | TOKENS * (noun == "token")
            )
    return verdicts


_WHOLE = _verdicts()
# Nouns of several words: "root_pw", "cvv2".
_OF_WORDS = frozenset(
    noun.replace("-", "") + plural
    for nouns in NOUNS.values()
    for noun in nouns.split()
    if "-" in noun or any(map(str.isdigit, noun))
    for plural in ("", "s")
)


def _is_end(noun: str) -> bool:
    """Return whether *noun* counts at the end of a word, and not only as a whole word."""
    is_long = len(noun) > _SHORT + noun.endswith("s") or not noun.isascii()
    return is_long and noun.removesuffix("s") not in _WHOLE_ONLY


_LONG = sorted(
    ((noun, verdict) for noun, verdict in _WHOLE.items() if _is_end(noun)),
    key=lambda pair: -len(pair[0]),
)
_ENDS = tuple(noun for noun, _ in _LONG)


def _pattern(separator: str, separators: str, most_tails: int) -> str:
    """Return the pattern of every noun with its tails, in lower case."""
    by_first: dict[str, list[str]] = {}
    nouns = sorted((n for text in NOUNS.values() for n in text.split()), key=len, reverse=True)
    for noun in nouns:
        by_first.setdefault(noun[0], []).append(noun[1:].replace("-", separator))
    # By the first letter: `re` looks at a place only if one of these is there.
    any_noun = "|".join(f"{first}(?:{'|'.join(rest)})" for first, rest in by_first.items())
    tails = "|".join(sorted(TAILS, key=len, reverse=True))
    # Neither "s" nor a tail is the beginning of another word: "tokenSecret", "password changed".
    return (
        rf"(?:{any_noun})(?:s(?=(?:{tails})|[^a-z]|\Z))?"
        # A number is one tail: of forty digits there are too many ways to make twelve.
        rf"(?:{separators}(?:{tails}|[0-9]+(?![0-9]))){{0,{most_tails}}}(?![a-z])"
    )


_NOUN_PATTERN = _pattern(r"(?:[_\-. ]{0,2}|\[)", r"[_\-. \]\[]{0,2}", _MOST_TAILS)
# What `Suspects` sees in a name: its pattern for Rust has the same separators.
_SEEN = re.compile(
    _pattern(r"(?:[^\w\"\\]|_){0,4}", r"(?:[^\w\"\\]|_){0,4}", _LAST_WORDS) + r"[\W_]*\Z"
)


def lowered(text: str) -> str:
    """Return *text* in lower case, with each character at its place."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    # The dotted I becomes two characters.
    return "".join(small if len(small := letter.lower()) == 1 else letter for letter in text)
