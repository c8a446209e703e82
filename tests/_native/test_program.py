"""A program finds whatever its pattern finds."""

from __future__ import annotations

import re
from random import Random

import pytest

from audit_handler._native import call_of
from audit_handler._native.program import program_of
from audit_handler._record.redaction import Redactor
from audit_handler._record.redaction.suspects import compiled
from tests.support.native import needs_extension
from tests.support.once import examples
from tests.support.records import encoder_with

_LETTERS = 'abAB1_- "=:/'


def random_pattern(random: Random, level: int = 0) -> str:
    """Return a pattern of the forms that the rules use."""
    kind = random.randrange(14 if level < 3 else 6)
    if kind < 3:
        return re.escape(random.choice(_LETTERS))
    if kind == 3:
        return random.choice((r"\d", r"\w", r"\s", ".", "[ab]", "[^a]", r"[^\s\"]", "[a-b1-9_]"))
    if kind == 4:
        return random.choice(("$", r"(?-u:\b)", "(?:^|[^ab])", "(?:$|b)"))
    if kind == 5:
        return re.escape("".join(random.choices(_LETTERS, k=random.randrange(2, 6))))
    inner = random_pattern(random, level + 1)
    if kind < 8:
        return inner + random_pattern(random, level + 1)
    if kind < 10:
        return f"(?:{inner}|{random_pattern(random, level + 1)})"
    if kind == 10:
        return f"(?-i:{inner})"
    return f"(?:{inner})" + random.choice(("?", "*", "+", "{0,2}", "{2}", "{1,3}", "{0,70}", "*?"))


@needs_extension
@pytest.mark.parametrize("block", range(4))
def test_what_rust_finds_c_suspects(block: int) -> None:
    random = Random(block)
    found = translated = 0
    for _ in range(examples(150)):
        pattern = "(?i)" * random.randrange(2) + random_pattern(random)
        try:
            search = compiled(pattern)
        except Exception:  # no pattern of Rust
            continue
        if program_of.__wrapped__(pattern) is None:
            continue
        translated += 1
        redactor = Redactor()
        redactor.suspects.patterns = (pattern,)
        call = call_of(encoder_with(redactor=redactor), None)
        for _ in range(40):
            text = "".join(random.choices(_LETTERS, k=random.randrange(12)))
            if search(text):
                found += 1
                assert call.is_suspect(text), (pattern, text)
    assert translated > examples(150) // 4
    assert found > examples(150)


@needs_extension
@pytest.mark.parametrize(
    ("pattern", "text", "is_suspect"),
    [
        ("(?i)pin(?:[^a-z]|$)", "shipping", False),
        ("(?i)pin(?:[^a-z]|$)", "a PIN", True),
        ("(?i)pin(?:[^a-z]|$)", "pin: 1", True),
        ("x[^ ]*y=", "x/a/b/c?y=", True),
        ("x[^ ]*y=", "x/a/b c?y=", False),
        (r"(?:^|[^ab])k\d{3}", "k123", True),
        (r"(?:^|[^ab])k\d{3}", "ak123", False),
        (r"(?-u:\b)az ", "an az ", True),
        ("(?i)AB(?-i:C)", "abC", True),
        ("(?i)AB(?-i:C)", "abc", False),
        ("a", "a", True),
        ("a", "b", False),
    ],
)
def test_a_program_is_as_exact_as_its_pattern(pattern: str, text: str, is_suspect: bool) -> None:
    redactor = Redactor()
    redactor.suspects.patterns = (pattern,)

    assert is_suspect == call_of(encoder_with(redactor=redactor), None).is_suspect(text)


@pytest.mark.parametrize(
    "pattern",
    [r"a(?=b)", r"(?<!a)b", r"(a)\1", "^a", "a(?:^|b)", "(?:a|b", r"(?>a)b" "\\Z"],
    ids=["ahead", "behind", "group", "beginning", "beginning inside", "no pattern", "atomic"],
)
def test_a_pattern_of_another_form_has_no_program(pattern: str) -> None:
    assert program_of(pattern) is None


@pytest.mark.parametrize("pattern", ["a*", "$", "a|", "b?c{0,3}"])
def test_a_pattern_that_finds_nothing_in_each_text_has_no_program(pattern: str) -> None:
    assert program_of(pattern) is None


def test_a_pattern_that_is_too_long_has_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    assert program_of.__wrapped__("abc" * 40) is not None
    monkeypatch.setattr("audit_handler._native.program._MOST_NUMBERS", 100)

    assert program_of.__wrapped__("abc" * 40) is None


@needs_extension
def test_a_long_text_takes_no_longer_for_each_of_its_bytes() -> None:
    """What would take more steps than that is suspected, and Rust decides."""
    redactor = Redactor()
    redactor.suspects.patterns = ("(?:a|ab|abc|abcd){0,60}x",)
    call = call_of(encoder_with(redactor=redactor), None)

    assert call.is_suspect("abcd" * 2_000)
    assert not call.is_suspect("bcd" * 2_000)


@needs_extension
@pytest.mark.parametrize("text", ["\u00e9", b"a", None])
def test_only_a_text_of_ascii_is_searched(text: object) -> None:
    with pytest.raises(ValueError, match="a text of ASCII is needed"):
        call_of(encoder_with(), None).is_suspect(text)
