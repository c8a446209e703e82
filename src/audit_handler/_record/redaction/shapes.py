"""Secrets that show by their shape, whatever stands around them: one table of named finders."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator

from audit_handler._record.redaction.spans import Span
from audit_handler._record.redaction.vendors import PREFIXED, UNPREFIXED

__all__ = ["SHAPES", "UUID", "is_user_and_password", "shapes_in"]

_WEBHOOK = (
    r"(?<=hooks\.slack\.com/)(?:services|workflows|triggers)/[\w/-]+"
    r"|(?<=discord\.com/api/webhooks/)\d+/[\w-]+|(?<=discordapp\.com/api/webhooks/)\d+/[\w-]+"
    r"|(?<=\.webhook\.office\.com/)webhookb2/[^\s\"'<>]+|(?<=outlook\.office\.com/)webhook/[^\s\"'<>]+"
    r"|(?<=hooks\.zapier\.com/hooks/catch/)[\w/]+"
)
_FORMS = [
    f"(?:{'|'.join(map(re.escape, prefixes.split()))}){rest}" for _, prefixes, rest in PREFIXED
] + [pattern for _, _, pattern in UNPREFIXED]
_TOKENS = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(_FORMS)})|{_WEBHOOK}", re.ASCII)
# No token is shorter. This search takes a tenth of the time of that for all of them.
_LONG_WORD = re.compile(r"[\w.~:/+=-]{13}", re.ASCII)
# Hashes of passwords in the form of crypt(5), which are guessed without asking the system.
_CRYPT = re.compile(
    r"\$(?:2[abxy]\$\d\d\$[./A-Za-z0-9]{53}|(?:1|5|6|y|7|gy|md5|sha1)\$[./A-Za-z0-9=,$-]{20,}"
    r"|(?:argon2(?:id|i|d)|scrypt|pbkdf2[\w-]*|bcrypt-sha256)\$[./+A-Za-z0-9=,$-]{20,})"
)
# The last part of a link that lets in whoever has it.
_LINK = re.compile(
    r"/(?:reset|password|confirm|verif|unsubscribe|magic|activat)[a-z_-]{0,20}/"
    r"(?:[\w-]{1,12}/)?(?=[\w-]{0,64}\d)(?=[\w-]{0,64}[A-Za-z])([\w.-]{16,})",
    re.IGNORECASE,
)
# User and password in Oracle's form of a URL: ``jdbc:oracle:thin:scott/tiger@//host``.
_ORACLE = re.compile(
    r"(?<=:)(oci\d?|thin):([^\s/@:\"']{1,100})/([^\s@\"']{1,200})(?=@)", re.IGNORECASE
)

_PRIVATE_KEY = re.compile(r"-----? ?BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)? ?-----?")
_PRIVATE_KEY_END = re.compile(r"-----? ?END (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)? ?-----?")

_USERINFO = re.compile(r"""(?<=://)([^\s/:@"'<>\\]*:)?([^\s/"'<>]+)@""")
# Of a token that is given as the user's name (GitHub, GitLab).
_NO_PASSWORDS = frozenset({"x-oauth-basic", "x-token-auth", "x"})
_SCHEME = re.compile(
    r"\b(bearer|basic|token|apikey|negotiate|ntlm|digest)[ \t]+"
    # The lookahead takes the whole word, of which nothing is given back.
    r"(?=([\w.~+/=-]{8,}))\2(?![\"']?[ \t]*=[^=])",
    re.IGNORECASE,
)
# "auth" of Docker's config.json, "_auth" of npm.
_AUTH = re.compile(
    r"\b_?auth(?:\\*[\"'])?\s{0,3}[:=]\s{0,3}(?:\\*[\"'])?(?=([A-Za-z0-9+/]{8,}={0,2}))\1"
)
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# Characters of a sign and blanks before a scheme.
_SIGN_CHARACTERS = 8
_DIGIT = re.compile(r"\d")
# Shorter numbers are cards as rarely as ids: every tenth id passes the check digit.
_SHORT_CARD = 15
_CARD_WORD = re.compile(r"card|\bpan\b|\bcc\b|visa|diners", re.IGNORECASE)
_CARD = re.compile(
    r"(?<![\w./+-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|3\d{3}([ -])\d{6}\2\d{4,5})"
    r"(?![\w=/-]|[.,:]\d)"
)
# The second track (ISO/IEC 7813): number, expiry, service code.
_STRIPE = re.compile(r"(?<![\w.=])[2-6]\d{12,18}=\d{7,20}")
_MANY_DIGITS = re.compile(r"\d(?:[ -]?\d){12}")
# Major industry's first digits and lengths (ISO/IEC 7812): Visa, Mastercard, American Express,
# Discover, Diners Club, JCB, UnionPay.
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"
    r"|3[47]\d{13}|6(?:011|5\d\d|4[4-9]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}"
    r"|62\d{14,17}"
)


def _tokens(text: str) -> Iterator[Span]:
    if not _LONG_WORD.search(text):
        return
    for found in _TOKENS.finditer(text):
        yield found.span()


def _links(text: str) -> Iterator[Span]:
    for found in _LINK.finditer(text):
        if not UUID.fullmatch(found[1]):
            yield found.span(1)


def _hashes(text: str) -> Iterator[Span]:
    if "$" in text:
        for found in _CRYPT.finditer(text):
            yield found.span()


def _private_keys(text: str) -> Iterator[Span]:
    position = 0
    while "----" in text and (found := _PRIVATE_KEY.search(text, position)):
        end = _PRIVATE_KEY_END.search(text, found.end())
        position = end.end() if end else len(text)
        yield found.start(), position


def _userinfo(text: str) -> Iterator[Span]:
    if "://" in text:
        for found in _USERINFO.finditer(text):
            user, password = found[1], found[2]
            if user is None and not _is_random(password):
                continue
            if user is not None and password in _NO_PASSWORDS:
                yield found.start(1), found.end(1) - 1
            else:
                yield found.span(2)
    if "@" in text:
        for found in _ORACLE.finditer(text):
            yield found.span(3)


def _is_random(word: str) -> bool:
    """Return whether *word*, a user's name in a URL, is a token instead."""
    return len(word) >= 16 and _DIGIT.search(word) is not None


def _schemes(text: str) -> Iterator[Span]:
    for found in _SCHEME.finditer(text):
        scheme, value = found[1].lower(), found[2].rstrip(".")
        is_secret = (
            _is_basic(value) if scheme == "basic" else len(value) >= 12 and _DIGIT.search(value)
        )
        if scheme in ("token", "digest"):
            # A word of a sentence, unless it follows the name of a header.
            before = text[max(0, found.start() - _SIGN_CHARACTERS) : found.start()].rstrip("\"' ")
            is_secret = is_secret and before[-1:] in ("", ":", "=")
        if is_secret and not UUID.fullmatch(value):
            yield found.start(2), found.start(2) + len(value)


def _auths(text: str) -> Iterator[Span]:
    for found in _AUTH.finditer(text):
        if is_user_and_password(found[1]):
            yield found.span(1)


def is_user_and_password(value: str) -> bool:
    """Return whether *value* is the base64 of ``user:password``, all of it printable."""
    decoded = _decoded(value)
    return b":" in decoded and decoded.isascii() and decoded.decode().isprintable()


def _is_basic(value: str) -> bool:
    return b":" in _decoded(value)


def _decoded(value: str) -> bytes:
    """Return the bytes of a text in base64, with or without its padding; none if it is not."""
    try:
        return base64.b64decode(
            value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4), validate=True
        )
    except ValueError:
        return b""


def _cards(text: str) -> Iterator[Span]:
    if not _MANY_DIGITS.search(text):
        return
    # Once: a search of the whole text for each number would take too long.
    names_a_card = _CARD_WORD.search(text) is not None
    for found in _CARD.finditer(text):
        digits = found[0].replace(" ", "").replace("-", "")
        if len(digits) < _SHORT_CARD and not names_a_card:
            continue
        if _ISSUERS.fullmatch(digits) and _passes_luhn(digits):
            yield found.span()


def _stripes(text: str) -> Iterator[Span]:
    for found in _STRIPE.finditer(text):
        yield found.span()


def _passes_luhn(digits: str) -> bool:
    total = 0
    for index, digit in enumerate(reversed(digits)):
        number = int(digit)
        total += number if index % 2 == 0 else sum(divmod(number * 2, 10))
    return total % 10 == 0


SHAPES: dict[str, Callable[[str], Iterable[Span]]] = {
    "private key": _private_keys,
    "vendor's token, JWT or webhook": _tokens,
    "hash of a password": _hashes,
    "link with a token": _links,
    "user and password in a URL": _userinfo,
    "HTTP authentication": _schemes,
    "login of Docker or npm": _auths,
    "card number": _cards,
    "magnetic stripe of a card": _stripes,
}


def shapes_in(text: str) -> Iterator[Span]:
    """Yield the (start, end) of each secret in *text* that shows by its shape."""
    for find in SHAPES.values():
        yield from find(text)
