"""Find the JSON texts that may contain a secret, by one quick search of their bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from audit_handler._record.plain import encode_plain
from audit_handler._record.secret_names import SEPARATORS

__all__ = ["Suspects"]

# One pass makes the bytes lower-case and removes the separators.
_LOWER = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz")
# Signs that the searched bytes keep: between two texts, and in a URL; quotes separate a name from
# the next.
_LOOK_SIGNS = "\n:/@\"'<>"
# The UTF-8 bytes, read as Latin-1, of the four letters that `re.IGNORECASE` treats as i, s and k.
_ALSO_LETTERS = re.compile("\xc4[\xb0\xb1]|\xc5\xbf|\xe2\x84\xaa")
_NOT_ASCII = re.compile("[\x80-\xff]")
_MAY_BE_USERINFO = re.compile(r"""://[^\s/:@"'<>]*:[^\s/"'<>]*@""", re.ASCII)


class Suspects:
    """
    Looks for parts of secret names in JSON. Stateless, so one instance serves all threads.

    Args:
        parts: Those of `SecretNames`.
    """

    def __init__(self, parts: Sequence[str]) -> None:
        # As they are in JSON. A part that consists of separators is in any text.
        self._marks = tuple(map(_mark, parts))
        # Bytes that no mark contains are removed, which makes the search shorter.
        seen = "".join(self._marks) + _LOOK_SIGNS
        self._unseen = bytes(code for code in range(128) if chr(code).lower() not in seen)
        is_ascii = all(part.isascii() for part in parts)
        self._more_marks = _ALSO_LETTERS if is_ascii else _NOT_ASCII

    def indexes(self, encoded: Sequence[bytes]) -> set[int]:
        """Return the indexes of the JSON texts that may contain a secret."""
        # One search of all texts together: most contain no secret, and starting a search costs more
        # than searching. There is no line end in JSON.
        look = b"\n".join(encoded).translate(_LOWER, self._unseen).decode("latin-1")
        found = [mark for mark in self._marks if mark in look]
        if not look.isascii():
            found += self._more_marks.findall(look)
        if "@" in look and "://" in look and _MAY_BE_USERINFO.search(look):
            found.append("://")
        if not found:
            return set()
        texts = look.split("\n")
        return {index for mark in found for index, text in enumerate(texts) if mark in text}


def _mark(part: str) -> str:
    """
    Return the mark that the searched bytes of every text with *part* contain.

    For a part that consists of separators, and for a part with letters that `re.IGNORECASE` finds
    in ASCII, this is the empty text, which any text contains.
    """
    part = "" if "ı" in part or "ſ" in part else part.translate(SEPARATORS)  # noqa: RUF001  # these very letters
    return encode_plain(part)[1:-1].decode("latin-1")
