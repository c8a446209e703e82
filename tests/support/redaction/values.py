"""
Makers of the made-up values that stand in the cases of redaction.

A maker takes a ``random.Random`` and returns a text, or a pair of a text and the part of it to look
for. Values exist only while a test runs: code hosts refuse a push of files that hold tokens.
"""

from __future__ import annotations

import base64
import string
import uuid as _uuid
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias
from urllib.parse import quote

ALNUM = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + string.digits
WORD = ALNUM + "_-"
HEX = "0123456789abcdef"
BASE32 = string.ascii_uppercase + "234567"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Base 32 of ULIDs: without letters that look like others."""

TextMaker: TypeAlias = Callable[[Random], str]
Maker: TypeAlias = Callable[[Random], "str | tuple[str, str]"]
Listed: TypeAlias = "dict[str, list[tuple[Any, ...]]]"
"""Cases by group: (name, what[, text to look for][, maker]), MADE where the made value goes."""


def text(r: Random, length: int, alphabet: str = ALNUM) -> str:
    return "".join(r.choice(alphabet) for _ in range(length))


def token(prefix: str, length: int, alphabet: str = ALNUM) -> TextMaker:
    return lambda r: prefix + text(r, length, alphabet)


def joined(sign: str, *makers: str | TextMaker) -> TextMaker:
    """Put *sign* between the values of *makers*; a text is itself."""
    return lambda r: sign.join(maker if isinstance(maker, str) else maker(r) for maker in makers)


def digits(length: int) -> TextMaker:
    return lambda r: r.choice("123456789") + text(r, length - 1, string.digits)


def luhn(prefix: str, length: int, sign: str = "") -> TextMaker:
    """Make digits that pass the check of card numbers, with *sign* after every four."""

    def make(r: Random) -> str:
        number = prefix + text(r, length - 1 - len(prefix), string.digits)
        number += _check_digit(number)
        return sign.join(number[start : start + 4] for start in range(0, length, 4))

    return make


def _check_digit(number: str) -> str:
    doubled = (divmod(int(one) * (2 - place % 2), 10) for place, one in enumerate(number[::-1]))
    return str(-sum(map(sum, doubled)) % 10)


def password(r: Random) -> str:
    return f"{text(r, 5, string.ascii_letters)}-{text(r, 5)}{text(r, 2, string.digits)}"


def words(r: Random) -> str:
    """Make a phrase that somebody can remember, of three words."""
    return " ".join(text(r, 6, string.ascii_lowercase) for _ in range(3))


def uuid(r: Random) -> str:
    return str(_uuid.UUID(int=r.getrandbits(128), version=4))


def base64_of(length: int) -> TextMaker:
    return lambda r: base64.b64encode(r.randbytes(length)).decode()


def base64url_of(length: int) -> TextMaker:
    return lambda r: _base64url(r.randbytes(length))


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def basic(r: Random) -> str:
    return base64.b64encode(f"svc:{password(r)}".encode()).decode()


def jwt(r: Random) -> tuple[str, str]:
    claims = f'{{"sub":"{text(r, 6)}","iat":{digits(10)(r)}}}'
    signature = text(r, 43)
    parts = (_base64url(b'{"alg":"RS256","typ":"JWT"}'), _base64url(claims.encode()), signature)
    return ".".join(parts), signature[-20:]


def pem(kind: str, newline: str = "\n") -> Maker:
    """Make a PEM block, of which the last line is looked for."""

    def make(r: Random) -> tuple[str, str]:
        lines = [text(r, 64, ALNUM + "+/") for _ in range(4)]
        block = newline.join((f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----"))
        return block, lines[-1]

    return make


def sas(r: Random) -> str:
    """Make the signature of an Azure URL."""
    return quote(base64_of(32)(r), safe="")


def slack_hook(r: Random) -> str:
    return "/".join((f"T{text(r, 8)}".upper(), f"B{text(r, 8)}".upper(), text(r, 24)))


def bcrypt(r: Random) -> str:
    return "$2b$12$" + text(r, 53, ALNUM + "./")


def between_marks(*makers: TextMaker) -> TextMaker:
    """Put OpenAI's mark between the values of *makers*; the file must not hold it whole."""
    return joined("T3Blbk" + "FJ", *makers)


hex32, hex40, hex64 = (token("", length, HEX) for length in (32, 40, 64))
aws_secret = token("", 40, ALNUM + "+/")
aws_key_id = token("AKIA", 16, BASE32)
github_pat = joined("_", token("github_pat_", 22), token("", 59))
telegram = joined(":", digits(10), token("AA", 33, WORD))
discord_bot = joined(".", token("MTk4", 20), token("", 6, WORD), token("", 38, WORD))
sendgrid = joined(".", "SG", token("", 22, WORD), token("", 43, WORD))
openai_key = between_marks(token("sk-proj-", 74), token("", 74))
openai_service = between_marks(token("sk-svcacct-", 74), token("", 74))
old_openai = between_marks(token("sk-", 20), token("", 20))
anthropic = joined("", token("sk-ant-api03-", 93, WORD), "AA")
atlassian = joined("=", token("ATATT3xFfGF0", 171, WORD), token("", 8, "0123456789ABCDEF"))
notion = joined("", "ntn_", digits(11), token("", 35))
azure_secret = joined("8Q~", token("", 3), token("", 34, ALNUM + "._-"))
totp = token("", 32, BASE32)
