"""
Names and values in text: ``key=value``, ``key: value``, ``"key": "value"``, labels beside values,
sentences.

Where a value's end is not clear, more is secret rather than less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from audit_handler._record.redaction.names import (
    CODE,
    COUNTS,
    HEADER,
    KIND,
    RIGHTS,
    TOKEN,
    SecretNames,
    lowered,
)
from audit_handler._record.redaction.queries import secrets_in_queries
from audit_handler._record.redaction.sentences import BARE, SAID, bare, codes, said
from audit_handler._record.redaction.spans import TRAILING, Span, after_brackets, in_quotes
from audit_handler._record.redaction.values import REDACTED, stays

__all__ = ["Pairs"]

# The letters of a name to the left of its noun.
_LEFT = re.compile(r"[\w.\-\[\]$%]*\Z")
_LEFT_CHARACTERS = 64
_BEFORE_NAME = frozenset(("", " ", "\n", '"', "'", "&", "?", ",", ";", "{", "("))
# What follows a name: its end, and what stands between it and its value.
_TO_VALUE = re.compile(
    r"""
    (?:[\])_]|%5[dD]){0,8} (?P<quote> \\{0,32}["'`] )? [\])]{0,8} [^\S\r\n]*
    (?P<sign>
      =>|->|:=|=+|:(?!:)|::(?=[ ]) | \((?=\s*[bu]?\\*["'])
      | (?(quote) (?: ,(?=\s*[bu]?\\*["']) | ;(?=s:\d{1,9}:\\*") ) | (?!) )
    )
    (?(quote) \s* | [^\S\r\n]* )
    """,
    re.VERBOSE,
)
# YAML: a text of several lines, or a list, below its key.
_BLOCK = re.compile(r"(?:[|>][+-]?\d?[^\S\n]*)?\r?\n([^\S\n]*)(-[^\S\n])?(?=\S)")
# <th>Password:</th><td>
_TAGS = re.compile(r"(?:</?[A-Za-z][^<>\n]{0,200}>[ \t]{0,9}){1,8}")
_END_TAG = re.compile(r"</[A-Za-z][\w:.-]{0,40}[ ]?>")
# An anchor of YAML; the type of PHP's var_dump; a blank of JSON in a form.
_BEFORE_VALUE = re.compile(
    r"&[\w-]+[^\S\r\n]+|\+{1,8}(?=\\*[\[{\"'])|(?:string|str)\(\d*\)[^\S\r\n]*(?=[\"'])"
    r"|s:\d{1,9}:(?=\\*\")"
)
# Before a column's name in INSERT INTO "users" ("name", "password").
_IN_COLUMNS = re.compile(r"\bINTO\b[^()]*\([^()]*\Z", re.IGNORECASE)
_SOME_COLUMNS = 300
_BEFORE_BLOCK = frozenset("|>\r\n")
# Most values begin with one of these: no quote, no letter before a quote, no backslash.
_NO_QUOTE = frozenset("acdfghijklmopqstvwxyzACDFGHIJKLMOPQSTVWXYZ0123456789$*<([{")
_KEY_LINE = re.compile(r"[\w.\"'-]{1,64}[^\S\n]*:(?:\s|\Z)")
_LINE_OF_BLOCK = re.compile(r"([^\S\n]*)(\S?)[^\n]*")
_OPENING = re.compile(r"[\w.]*[\[({]")
_LITERAL = re.compile(r"[^\s,}\])]*")
_LINE = re.compile(r"[^\r\n\\]*(?:\\(?!r\\n|n)[^\r\n\\]*)*")
_OPENING_QUOTE = re.compile(r"""(?<!\\)\\*["']\Z""")
_PARAMETER = re.compile(r"""=\\*["'][^\s,;)\]}"']""")
# Of a search for each name: the time stays linear.
_LONGEST_LINE_IN_QUOTES = 4_000
_FORM_VALUE = re.compile(r"""[^\s&#"<>]*""")
# In quotes of the text around.
_QUOTED_FORM_VALUE = re.compile(r"""[^\s&#"'<>]*""")
_ARGUMENT = re.compile(r"""[^\s"'`]*""")
# Another pair, or the end of the statement.
_NEXT_PAIR = re.compile(
    r"""(?:[,;&|]|(?<![^\S\r\n]))[^\S\r\n]+["']?[\w.\-]+["']?(?:=|:[^\S\r\n])"""
    r"""|[,;&]["']?[\w.\- ]+["']?[=:]|[;&]|[\r\n]"""
)
_WORD = re.compile(r"[^\s,;&]+")
_DIGITS = re.compile(r"""\d(?:[ -]?\d)*(?=[\s,;&"'<>)\]}]|\.(?:\s|\Z)|\Z)""")
_PROSE = re.compile(
    r"(?:from|to|is|was)[^\S\r\n]+\w|[A-Za-z][a-z']*[,.]?[^\S\r\n]+(?:[a-z][a-z'-]*|[A-Z])\b"
)
_LOWER_WORD = re.compile(r"[a-z_*.]+|[A-Z][a-z]+[A-Za-z]*")
_SCHEME = re.compile(r"(?:Bearer|Basic|Digest|Token|Negotiate|ApiKey)[ ]+", re.IGNORECASE)

_VALUE_NAME = (
    r"""(?:\\*["'])?\w{0,20}"""
    r"(?:value|old|new|from|to|before|after|data|input|content|text|answer)\w{0,10}"
)
_LABELLED = re.compile(
    rf"""
    \b(?:parameter|param|option|setting|field|attribute|property|header|column|variable|env|tag)?
    (?:name|key|field|property|displayname|label|attribute|id|type|path|param|parameter|option|
      variable|setting|title|loc)
    (?:\\*["'])? [^\S\r\n]* [=:] [^\S\r\n]*
    (?:\[(?:[^\[\]\n]{{0,100}},[^\S\r\n]*)?)?
    (?: \\*["'] (?P<quoted>[\w.\-/ \[\]]{{1,60}}) \\*["'] | (?P<name>[\w.\-/\[\]]{{1,60}}) )
    \]? (?:\r?\n[^\S\r\n]* | [,;&]?[^\S\r\n]{{0,9}} ){{1,2}}
    (?<=[\s,;&"']) (?!autocomplete) (?P<values>{_VALUE_NAME})
    """,
    re.IGNORECASE | re.VERBOSE,
)
_ANOTHER_VALUE = re.compile(
    rf"(?:\\*[\"'])?[\s,;&]{{1,20}}{_VALUE_NAME}",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
# Of AWS.
_KEY_ID = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{12,20}(?![A-Za-z0-9])")
# Of Cisco's devices: %SYS-5-PRIV_AUTH_PASS.
_MNEMONIC = re.compile(r"%[A-Z][A-Z0-9_]*-[0-7]-[A-Z0-9_]+")
_ARROW = re.compile(r"""\\*["'][^\S\r\n]*->[^\S\r\n]*(?=\\*["'])""")
# Custom fields of ArcSight's CEF: cs1Label=password cs1=hunter2, in any order.
_CUSTOM_LABEL = re.compile(
    r"(?<![^\s|])(\w{2,40})Label=([\w.-]{1,40}(?:[ \t][\w.()-]{1,40}){0,4}?)"
    r"(?=[ \t]+\w{1,60}=|[ \t]*(?:$|[\r\n]))"
)
_FIELD_NAME = re.compile(r"(?<![^\s|])\w{2,40}\Z")
_FIELD_AFTER = re.compile(r"[ \t]+(\w{2,40})=")
_FIELD_END = re.compile(r"[ \t]\w{1,60}=|[\r\n]|\Z")
_LONGEST_FIELD = 300
_SQL_GOES_ON = re.compile(r"\s*(?:,|\)|;|(?:WHERE|AND|OR|RETURNING|FROM)\b)", re.IGNORECASE)
# Characters that tell whether a line goes on as a sentence.
_SOME = 80
_FEW_OF_TOKEN = 6
# Of Kubernetes: volume "db-creds" : secret "db-creds" not found.
_NOT_FOUND = re.compile(r"""secret[ ]\\*["'][^"'\n]{1,253}["'][ ](?:not[ ]found|is[ ]forbidden)""")
# Of syslog: passwd[3312]: pam_unix(passwd:chauthtok): password changed for kim.
_PROGRAM = re.compile(r"(?:ch|g|vnc|smb)?passwd\[\d{1,7}\]?")
_PAM = re.compile(r"pam_\w+\(\Z")
# "passwd: password updated successfully"
_ABOUT = frozenset({"password", "passwords", "authentication", "token", "all"})
_SENTENCE = re.compile(r"(?: [a-z]+)+\.?\Z")
# Characters: brackets with some spaces.
_FEW = 16
_HAS_DIGIT = re.compile(r"\d")


class Pairs:
    """
    Finds the values of secret names in text. Stateless, so one instance serves all threads.

    Args:
        names: Judge the names.
    """

    def __init__(self, names: SecretNames) -> None:
        self._names = names
        self._noun = re.compile(names.pattern)

    def spans(self, text: str) -> Iterator[Span]:
        """Yield the place of each secret value in *text*."""
        lower = lowered(text)
        yield from self._named(text, lower)
        yield from secrets_in_queries(text)
        yield from self._labelled(text)
        if "Label=" in text:
            yield from self._custom_labels(text)
        yield from codes(lower)

    def _named(self, text: str, lower: str) -> Iterator[Span]:
        position = 0
        lines = _Lines(text)
        search = self._noun.search
        while noun := search(lower, position):
            position = noun.end()
            to_value = _TO_VALUE.match(text, position)
            in_sentence = None if to_value else SAID.match(text, position)
            blanks = None if to_value or in_sentence else BARE.match(text, position)
            if not (to_value or in_sentence or blanks):
                # Within it may begin another one: "dbpass" in "dbPassword".
                position = noun.start() + 1
                continue
            name_start = noun.start()
            if text[name_start - 1 : name_start] not in _BEFORE_NAME:
                left = _LEFT.search(text, max(0, name_start - _LEFT_CHARACTERS), name_start)
                name_start = left.start() if left else name_start
            verdict = self._names.judge(text[name_start:position])
            if not verdict & KIND:
                # "API key": its first word is not connected.
                verdict = self._names.judge(noun[0])
                if not verdict & KIND or name_start < noun.start():
                    continue
            if in_sentence:
                yield from said(text, in_sentence.end(), verdict)
            elif blanks:
                is_alone = text[name_start - 1 : name_start] in ("", "\n", " ", "\t")
                yield from bare(text, blanks.end(), verdict, is_alone=is_alone)
            elif to_value:
                before = text[max(0, name_start - 3) : name_start]
                if ":" in to_value["sign"] and (
                    before == "://"
                    # But for Puppet's "profile::ldap::bind_password: x".
                    or (
                        before.endswith(":")
                        and not (before.endswith("::") and text[to_value.end() - 1].isspace())
                    )
                    or _MNEMONIC.fullmatch(text, name_start, position)
                    or _PROGRAM.fullmatch(text, name_start, position)
                    or _PAM.search(text, max(0, name_start - _FEW), name_start)
                    or _NOT_FOUND.match(text, to_value.end())
                ):
                    continue  # a user in a URL, part of an ARN, what writes the message
                if span := _value_span(text, name_start, to_value, verdict, lines):
                    yield span
                    position = max(position, span[1])
                    # password = "old" -> "new" (Terraform).
                    if (arrow := _ARROW.match(text, span[1])) and (
                        after := in_quotes(text, arrow.end())
                    ):
                        yield after

    def _custom_labels(self, text: str) -> Iterator[Span]:
        for label in _CUSTOM_LABEL.finditer(text):
            verdict = self._names.judge(label[2])
            if not verdict & KIND:
                continue
            start, end = label.span()
            spans: list[Span] = []
            equals = text.rfind("=", max(0, start - _LONGEST_FIELD), start)
            name = _FIELD_NAME.search(text, max(0, equals - _LONGEST_FIELD), max(0, equals))
            if name and name[0] == label[1]:
                value = text[equals + 1 : start]
                spans.append((equals + 1, equals + 1 + len(value.rstrip())))
            after = _FIELD_AFTER.match(text, end)
            if after and after[1] == label[1]:
                field_end = _FIELD_END.search(text, after.end()).start()  # type: ignore[union-attr]  # it finds the end of the text
                value = text[after.end() : field_end]
                spans.append((after.end(), after.end() + len(value.rstrip())))
            yield from (span for span in spans if not _is_state(text[slice(*span)], verdict))

    def _labelled(self, text: str) -> Iterator[Span]:
        lines = _Lines(text)
        done = 0
        for label in _LABELLED.finditer(text):
            if label.start() < done:
                continue  # in a value
            verdict = self._names.judge(label["quoted"] or label["name"])
            if not verdict & KIND:
                continue
            to_value = _TO_VALUE.match(text, label.end())
            while to_value:
                span = _value_span(text, label.start("values"), to_value, verdict, lines)
                if span:
                    yield span
                done = end = span[1] if span else to_value.end()
                # {"field": "password", "old": "...", "new": "..."}
                following = _ANOTHER_VALUE.match(text, end)
                to_value = following and _TO_VALUE.match(text, following.end())


def _is_state(value: str, verdict: int) -> bool:
    """Return whether *value*, or its first word, says nothing secret: "changed (by ann)"."""
    return not value or stays(value, verdict) or stays(value.split()[0], verdict)


def _value_span(
    text: str, name_start: int, to_value: re.Match[str], verdict: int, lines: _Lines
) -> Span | None:
    """
    Return the place of the value to redact, or None if it stays.

    Args:
        text: All of the text.
        name_start: Where the value's name begins.
        to_value: The match of all between the name and the value.
        verdict: On the name.
        lines: Of the text.
    """
    start, kind = to_value.end(), verdict & KIND
    if text.startswith("</", start) and (tags := _TAGS.match(text, start)):
        start = tags.end()
    if text.startswith(REDACTED, start):
        return None
    if before_value := _BEFORE_VALUE.match(text, start):
        start = before_value.end()
    first = text[start : start + 1]
    if first in _BEFORE_BLOCK and (block := _block_span(text, name_start, start)):
        return block
    if first not in _NO_QUOTE and (span := in_quotes(text, start)):
        after = _TO_VALUE.match(text, span[1])
        if "," in to_value["sign"] and (
            (after and after["sign"] == ":")
            or _IN_COLUMNS.search(text, max(0, name_start - _SOME_COLUMNS), name_start)
        ):
            return None  # {"name": "password", "value": "..."}: a label; a column of an INSERT
        return None if stays(text[slice(*span)], verdict) else span
    is_json = to_value["quote"] is not None
    if text.startswith(("[", "(", "{"), start) or (is_json and _OPENING.match(text, start)):
        if kind == RIGHTS:
            return None
        end = after_brackets(text, start)
        is_empty = end - start < _FEW and not text[start + 1 : end - 1].strip()
        return None if is_empty or stays(text[start:end], verdict) else (start, end)
    before = text[name_start - 1 : name_start]
    if is_json and ":" in to_value["sign"]:
        end = _LITERAL.match(text, start).end()  # type: ignore[union-attr]  # it matches the empty text too
        if verdict & COUNTS and text[start:end].isdecimal():
            return None
    elif before in ("?", "&") or _is_form(text, name_start, start):
        is_quoted = text.find("'", max(0, name_start - _SOME), name_start) >= 0
        form_value = _QUOTED_FORM_VALUE if is_quoted else _FORM_VALUE
        end = form_value.match(text, start).end()  # type: ignore[union-attr]
    elif before in ("-", "=") and "=" in to_value["sign"]:
        end = _ARGUMENT.match(text, start).end()  # type: ignore[union-attr]
    elif kind in (HEADER, RIGHTS):
        end = _line_end(text, name_start, start, lines)
    else:
        line_end = _line_end(text, name_start, start, lines)
        end = _message_end(text, line_end, start, to_value["sign"], verdict)
    shown = text[start:end].rstrip(" \t")
    if stays(shown, verdict):
        return None  # <hidden>, ${TOKEN}
    # A closing bracket or quote belongs to the text around.
    end = start + len(shown.rstrip(TRAILING) or shown)
    return None if end <= start or stays(text[start:end], verdict) else (start, end)


def _block_span(text: str, name_start: int, start: int) -> Span | None:
    """Return the place of the lines below a key of YAML that are its value."""
    opening = _BLOCK.match(text, start)
    if not opening:
        return None
    key = text[text.rfind("\n", 0, name_start) + 1 : name_start]
    key_indent = len(key) - len(key.lstrip(" \t-"))
    indent, is_list = len(opening[1]), opening[2] is not None
    is_text = text[start] in "|>" or _KEY_LINE.match(text, opening.end()) is None
    if _KEY_LINE.match(text, opening.end()) if is_list else not (is_text and indent > key_indent):
        return None  # a list of objects, or an object
    begin = opening.end() - (len(opening[2]) if is_list else 0)
    end = position = begin
    while position < len(text):
        line = _LINE_OF_BLOCK.match(text, position if position == begin else position + 1)
        if line is None:
            break
        depth = indent if position == begin else len(line[1])
        if line[2] and (depth < indent or (is_list and depth == indent and line[2] != "-")):
            break
        position = line.end()
        if line[2]:
            end = position
    return begin, end


def _is_form(text: str, name_start: int, start: int) -> bool:
    """Return whether the pair is one of a form: ``a=b&c=d`` without spaces."""
    before = text[name_start - 1 : name_start]
    if text[start - 1 : start] != "=" or (before and not before.isspace() and before not in "\"'"):
        return False
    value = _FORM_VALUE.match(text, start)
    return value is not None and text.startswith("&", value.end())


class _Lines:
    """
    The ends of the lines of a text. Remembers the last one: there may be a thousand names in it.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._start, self._end = 0, -1

    def end_of(self, position: int) -> int:
        """Return the end of the line that *position* is in."""
        if not self._start <= position <= self._end:
            line = _LINE.match(self._text, position)
            self._start, self._end = position, line.end() if line else position
        return self._end


def _line_end(text: str, name_start: int, start: int, lines: _Lines) -> int:
    """Return the end of the line, or of the quotes that the whole line stands in."""
    end = lines.end_of(start)
    # <td>Password: hunter2</td>
    element_end = text.find("</", start, end)
    if element_end >= 0 and _END_TAG.match(text, element_end):
        end = element_end
    opening = _OPENING_QUOTE.search(text, max(0, name_start - _FEW), name_start)
    if not opening:
        return end
    part = text[opening.start() : min(end, start + _LONGEST_LINE_IN_QUOTES)]
    _, closing = in_quotes(part, 0) or (0, len(part))
    # Of "Authorization: Digest username="ann", ..." nobody knows the end.
    if closing == len(part) or _PARAMETER.match(part, closing - 1):
        return end
    return max(start, opening.start() + closing)


def _message_end(text: str, line_end: int, start: int, sign: str, verdict: int) -> int:
    """Return the end of a value that stands in a sentence or a line."""
    kind = verdict & KIND
    word = _WORD.match(text, start, line_end)
    if word and (
        stays(word[0].rstrip(TRAILING), verdict)
        or (word[0] in _ABOUT and _SENTENCE.match(text, word.end(), line_end))
    ):
        # "password = NULL WHERE id = 3", "password: changed by bob"
        rest = text[word.end() : min(line_end, word.end() + _SOME)]
        is_sentence = ":" in sign and not _HAS_DIGIT.search(rest)
        if not rest.strip() or _SQL_GOES_ON.match(rest) or is_sentence:
            return start
    if word and verdict & COUNTS and _NUMBER.fullmatch(word[0]):
        return start  # "tests pass: 12"
    if kind == TOKEN:
        if _KEY_ID.match(text, start):
            return start
        if scheme := _SCHEME.match(text, start, line_end):
            start = scheme.end()
            word = _WORD.match(text, start, line_end)
        elif ":" in sign and _PROSE.match(text, start, line_end):
            return start
        is_few = ":" in sign and word and len(word[0]) < _FEW_OF_TOKEN
        if word is None or (is_few and not _HAS_DIGIT.search(word[0])):
            return start  # "unexpected token: }"
        if ":" in sign and text[start - 1] == ":" and _LOWER_WORD.fullmatch(word[0]):
            return start  # a scope: "secret:write"
        return word.end()
    if (
        kind == CODE
        and ":" in sign
        and _PROSE.match(text, start, line_end)
        and not _HAS_DIGIT.search(text, start, line_end)
    ):
        return start
    if kind == CODE and (digits := _DIGITS.match(text, start, line_end)):
        return digits.end()
    following = _NEXT_PAIR.search(text, start, line_end)
    return following.start() if following else line_end
