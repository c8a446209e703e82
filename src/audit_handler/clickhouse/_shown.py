"""
Make texts of the driver and of servers safe to show.

What answers may repeat the request: its URL, its headers, a piece of them. So a secret is masked in
each spelling that the way there and back may give it, before anything is cut.
"""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["mask_chain", "masked", "shown"]

MASK = "***"

# A piece of a secret of this length is masked too: another program may have cut it.
_PIECE = 8
# The same for the end of a text, which may have been cut there.
_LAST_PIECE = 3

# What the driver and `repr` add after the end of an answer.
_END = re.compile(r"['\"]*(?: \(for url [^()\s]*\))?$")

# Credentials that no option of ours holds: of a token_provider, of a variable for proxies.
_CREDENTIALS = re.compile(
    r"(?P<before>\b(?:Basic|Bearer)[ ]+)(?=\S*[\d=])[^\s'\"<>]{6,}"
    r"|(?P<key>(?:authorization|x-clickhouse-key)['\"]?[ ]?[:=][ ]?['\"]?)"
    r"(?:(?:Basic|Bearer)[ ]+)?[^\s'\"<>]+"
    r"|(?P<scheme>://)[^\s/'\"<>]*@",
    re.IGNORECASE,
)


def shown(text: str, secrets: Collection[str]) -> str:
    """Return *text* on one line, cut to 300 characters, with *secrets* masked."""
    return "".join(c if c.isprintable() else "?" for c in masked(text, secrets))[:300]


def masked(text: str, secrets: Collection[str]) -> str:
    """
    Return *text* on one line, with *secrets* masked, and credentials that can be recognized.

    Args:
        text: Any text.
        secrets: As `Target.secrets` returns them, longest first.
    """
    line = " ".join(text.split())
    for secret in secrets:
        line = line.replace(secret, MASK)
    line = _without_pieces(line, secrets)
    return _CREDENTIALS.sub(_mask_credentials, line)


def mask_chain(exc: BaseException, secrets: Collection[str]) -> None:
    """
    Mask *secrets* in the texts of *exc*, its causes and the errors inside it: a traceback shows
    them all.
    """
    seen: set[int] = set()
    left: list[BaseException | None] = [exc]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        left += [each.__cause__, each.__context__]
        left += [inner for inner in each.args if isinstance(inner, BaseException)]
        reason = getattr(each, "reason", None)
        left.append(reason if isinstance(reason, BaseException) else None)
        if any(isinstance(arg, str) and _is_unsafe(arg, secrets) for arg in each.args):
            each.args = tuple(
                masked(arg, secrets) if isinstance(arg, str) else arg for arg in each.args
            )


def _is_unsafe(text: str, secrets: Collection[str]) -> bool:
    """Return whether something in *text* must be masked; others keep their lines."""
    return masked(text, secrets) != " ".join(text.split())


def _mask_credentials(found: re.Match[str]) -> str:
    kept = found["before"] or found["key"] or found["scheme"]
    return f"{kept}{MASK}@" if found["scheme"] else f"{kept}{MASK}"


def _common_length(secret: str, line: str, start: int) -> int:
    """Return how many characters of *line* from *start* on are the beginning of *secret*."""
    pairs = zip(secret, line[start:], strict=False)
    return next(
        (n for n, (a, b) in enumerate(pairs) if a != b), min(len(secret), len(line) - start)
    )


def _without_pieces(line: str, secrets: Collection[str]) -> str:
    """Mask what is left of *secrets* that another program has cut."""
    beginnings = {secret[:_PIECE] for secret in secrets if len(secret) > _PIECE}
    for beginning in beginnings:
        start = line.find(beginning)
        while start >= 0:
            end = start + max(_common_length(secret, line, start) for secret in secrets)
            # The rest of the word: a spelling within a spelling goes on otherwise.
            rest = line[end:].partition(" ")
            line = line[:start] + MASK + rest[1] + rest[2]
            start = line.find(beginning, start + len(MASK))
    end = _END.search(line).start()  # type: ignore[union-attr]  # it matches the empty text too
    last = max(
        (
            size
            for secret in secrets
            for size in range(_LAST_PIECE, len(secret))
            if line.endswith(secret[:size], 0, end)
        ),
        default=0,
    )
    return line[: end - last] + MASK + line[end:] if last else line
