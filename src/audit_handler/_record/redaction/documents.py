"""Secrets in XML and HTML, in multipart forms, in tables (CSV), and in SQL."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

from audit_handler._record.redaction.names import (
    HEADER,
    KIND,
    LABEL,
    PASSWORD,
    RIGHTS,
    TOKEN,
    VALUE,
    SecretNames,
)
from audit_handler._record.redaction.spans import Span, in_quotes
from audit_handler._record.redaction.values import stays

__all__ = ["Documents"]

_TAG = re.compile(r"<([A-Za-z][\w:.\-]*)((?:\s[^<>]*)?)>")
_ATTRIBUTE_LABEL = re.compile(
    r"""\b(?:name|key|id|field|property|type|label)\s*=\s*(["'])([^"'<>]{1,64})\1""", re.IGNORECASE
)
_NEXT_ELEMENT = re.compile(r"\s*<([A-Za-z][\w:.\-]*)(?:\s[^<>]*)?>")

_LONGEST_LABEL = 64
_WORDS_OF_A_HEAD = 3

# Of multipart/form-data (RFC 7578), with and without quotes.
_PART = re.compile(
    r"""
    (content-disposition:[^\r\n]{0,100}?\bname=(?:"([^"\r\n]{1,128})"|([^"\s;]{1,128}))
    [^\r\n]{0,200}(?:\r?\n[^\r\n]+){0,4}\r?\n\r?\n)
    (.*?)(?=\r?\n--|\Z)
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)

_TABLE_HEAD = re.compile(
    r"\ufeff?[^\S\n]{0,8}\|?[\"']?[\w .\-/()]{1,64}[\"']?"
    r"(?:([,;\t|])[\"']?[\w .\-/()]{0,64}[\"']?)+(?=\r?\n)"
)

_SQL_TEXT = r"(?:[NEne]|U&)?['\"]"
_STATEMENT = re.compile(r"\b(?:IDENTIFIED|INSERT|REPLACE)\b", re.IGNORECASE)
_SQL_SECRET = re.compile(
    rf"""
    \bIDENTIFIED \s+ (?:WITH \s+ \S+ \s+)?
      (?:(?:BY|AS) \s+ (?:PASSWORD \s+)? {_SQL_TEXT} | BY \s+ (?=\w))
    | \b(?:PASSWORD|PASSPHRASE|SECRET|SECRET_KEY|SESSION_TOKEN|ACCESS_KEY|PWD) \s+ {_SQL_TEXT}
    | \b(?:OLD_)?PASSWORD \s* \( \s* {_SQL_TEXT}
    | \bSET \s+ PASSWORD \b [^=;\n]{{0,200}} = \s* (?:PASSWORD \s* \( \s*)? {_SQL_TEXT}
    """,
    re.IGNORECASE | re.VERBOSE,
)
_INSERT = re.compile(
    r"\b(?:INSERT|REPLACE)\b[^()';]{1,200}\(([^()]{1,4000})\)"
    r"\s*(?:OVERRIDING \w+ VALUE\s*)?VALUES\s*",
    re.IGNORECASE,
)
_SQL_WORD = re.compile(r"[^\s;,'\"]+")
# What SQLAlchemy says of a statement that failed, and Django of one that it runs.
_PARAMETERS = re.compile(r"\[parameters: \(|\bargs=\(")
_PARAMETER = re.compile(
    r"\s*(?:[bu]?'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"|[^,)]*)\s*([,)]|\Z)"
)
# The second of two arguments is the password.
_CALL = re.compile(
    r"(?:\bauth=|BasicAuth|Credentials?|\blogin)"
    r"\(\s*[bu]?([\"'])[^\"'\n]{0,200}\1,\s*[bu]?(?=[\"'])"
)
_TAG_IN_CELL = re.compile(r"<[^<>]*>")
_TABLE_TAG = re.compile(
    r"<(/?)(table|thead|tr|th|td|dl|dt|dd)\b(?:[^<>]*?\bcolspan\s{0,8}=\s{0,8}[\"']?(\d{1,2}))?[^<>]*>",
    re.IGNORECASE,
)
# "<b>Password</b>"
_BOLD = re.compile(r"\s*<(?:b|strong)\b", re.IGNORECASE)
_MOST_OF_NAME = 500
_MOST_COLUMNS = 20
# "Reset password" is a page, or a test.
_ABOUT = re.compile(r"(?:reset|forgot(?:ten)?|change|last|lost|show|hide)\b", re.IGNORECASE)
_MADE = re.compile(r"(?=\D*\d|\S{20}).{6,}", re.DOTALL)
_COMMENT = re.compile(r"\s*\([^()]*\)\Z")
# "3 active", "changed 2024-05-01"
_STATE = re.compile(
    r"\W*|\d{1,3}(?:\.\d+)?(?: [a-z]+)?"
    r"|(?:changed |set |expires |on ){0,2}\d{4}-\d\d-\d\d(?:[T ][\d:.+Z]*)?",
    re.IGNORECASE,
)
# In a trace of PHP, the third.
_CONNECTION = re.compile(
    r"\b(?:PDO(?:->__construct)?|mysqli(?:_connect|->__construct)?)"
    r"\((?:'[^'\n]{0,200}',\s?){2}(?=')"
)
# The same in FastAPI's answer, cut off: {"loc": ["body", "password"], "msg": "...", "input": "...
_REFUSED = re.compile(
    r"""["']loc["']\s{0,8}:\s{0,8}[\[(][^\[\]()]{0,200}?["']([\w.-]{1,64})["']\s{0,8}[\])]"""
    r"""[^{}]{0,300}?["']input["']\s{0,8}:\s{0,8}"""
)
# A code of OAuth, in the repr of an object or in JSON that is cut.
_GRANT = re.compile(
    r"""["']grant_?type["']\s{0,8}:\s{0,8}["']authorization_code["']\s{0,8},\s{0,8}["']code["']"""
    r"""\s{0,8}:\s{0,8}(?=["'])""",
    re.IGNORECASE,
)
# A fault of pydantic: its place, and below it what was sent.
_FAULT = re.compile(r"^([\w.\[\]]{1,128})\n[^\S\n][^\n]*?\binput_value=", re.MULTILINE)
_INPUT_END = re.compile(r"(?=, input_type=)|(?=\n)|\Z")
_SQL_TOKEN = re.compile(r"'(?:[^'\\]|\\.|'')*(?:'|\Z)|[(),;]|[^'(),;]+", re.DOTALL)


class Documents:
    """Finds the values of secret names by the syntax around them. Stateless."""

    def __init__(self, names: SecretNames) -> None:
        self._names = names

    def spans(self, text: str) -> Iterator[Span]:
        """Yield the (start, end) of each secret value in *text*."""
        if "</" in text:
            yield from self._elements(text)
            if _TABLE_TAG.search(text):
                yield from self._cells(text)
        if "name=" in text and "\n" in text:
            yield from self._parts(text)
        if "'" in text or _STATEMENT.search(text):
            yield from self._statements(text)
        if "\n" in text:
            yield from self._columns(text)
            yield from self._faults(text)
        if "loc" in text:
            yield from self._refused(text)
        if "authorization_code" in text:
            yield from _in_quotes_behind(_GRANT, text)
        if "(" in text:
            yield from _in_quotes_behind(_CONNECTION, text)
            yield from _in_quotes_behind(_CALL, text)

    def _elements(self, text: str) -> Iterator[Span]:
        position = 0
        without_end: set[str] = set()
        while tag := _TAG.search(text, position):
            position = tag.end()
            name, attributes = tag[1], tag[2]
            if attributes.endswith("/") or name in without_end:
                continue
            verdict = self._names.judge(name.rpartition(":")[2])
            label = None if verdict & KIND else _ATTRIBUTE_LABEL.search(attributes)
            if label:
                verdict = self._names.judge(label[2])
            if not verdict & (KIND | LABEL):
                continue
            # Of a label the content is short.
            limit = len(text) if verdict & KIND else position + _LONGEST_LABEL
            end = text.find(f"</{name}", position, limit)
            if end < 0:
                if not verdict & KIND:
                    continue
                without_end.add(name)
                end = len(text)
            start = position
            if not verdict & KIND:
                # <name>password</name><value>...</value>
                verdict = self._names.judge(text[start:end].strip())
                after = (
                    _NEXT_ELEMENT.match(text, text.find(">", end) + 1) if verdict & KIND else None
                )
                if not after:
                    continue
                start = after.end()
                end = text.find(f"</{after[1]}", start)
                end = len(text) if end < 0 else end
            content = text[start:end].strip()
            if verdict & KIND == RIGHTS and content.startswith("<"):
                continue
            if content and not stays(content, verdict):
                yield start, end
                position = end

    def _cells(self, text: str) -> Iterator[Span]:
        """Yield the places of the cells of HTML tables that are below or beside a secret name."""
        columns: list[int] = []
        for is_table, cells in _rows(text):
            if is_table:
                columns = []
            names = [cell for cell in cells if cell.is_name and cell.start < cell.end]
            if all(cell.is_name or cell.start == cell.end for cell in cells):
                # Not the name of a group of rows.
                if names and (len(cells) > 1 or not columns):
                    columns = [
                        verdict
                        for cell in cells
                        for verdict in [self._name_of_cell(text, cell)] * cell.columns
                    ]
                continue
            # A line of a mail: <td>Password</td><td>...</td>; a list of changes.
            first = (
                cells[0]
                if (len(cells) == 2 and not any(verdict & KIND for verdict in columns))
                or any(verdict & VALUE for verdict in columns)
                else None
            )
            column = before = 0
            for cell in cells:
                verdict = columns[column] if column < len(columns) else 0
                column += cell.columns
                if cell.is_name or cell is first:
                    before = self._name_of_cell(text, cell)
                    continue
                # <th>Password</th><td>...</td>
                verdict = verdict if verdict & KIND else before
                if verdict & KIND:
                    shown = text[cell.start : cell.end]
                    shown = html.unescape(_TAG_IN_CELL.sub("", shown)).strip()
                    if not (
                        stays(shown, verdict)
                        or _STATE.fullmatch(shown)
                        # The name of a token, a cookie, a card.
                        or (verdict & KIND in (TOKEN, HEADER) and not _MADE.fullmatch(shown))
                    ):
                        yield cell.start, cell.end

    def _name_of_cell(self, text: str, cell: _Cell) -> int:
        name = text[cell.start : min(cell.end, cell.start + _MOST_OF_NAME)]
        name = html.unescape(_TAG_IN_CELL.sub("", name)).strip()
        # A longer one is no name.
        is_name = len(name) <= _LONGEST_LABEL and not _ABOUT.match(name)
        return self._names.judge(_COMMENT.sub("", name).rstrip(" :")) if is_name else 0

    def _parts(self, text: str) -> Iterator[Span]:
        for part in _PART.finditer(text):
            verdict = self._names.judge(part[2] or part[3])
            if verdict & KIND and not stays(part[4], verdict):
                yield part.span(4)

    def _statements(self, text: str) -> Iterator[Span]:
        for secret in _SQL_SECRET.finditer(text):
            start = secret.end()
            if text[start - 1] in "'\"":
                span = in_quotes(text, start - 1) or (start, len(text))
                if not stays(text[slice(*span)], PASSWORD):
                    yield span
            elif word := _SQL_WORD.match(text, start):
                yield word.span()
        done = 0
        for insert in _INSERT.finditer(text):
            if insert.start() < done:
                continue  # in the values of another one
            columns = [column.strip(' \t\r\n`"[]') for column in insert[1].split(",")]
            verdicts = [self._names.judge(column) for column in columns]
            if any(verdict & KIND for verdict in verdicts):
                if not done:
                    # Only once: a search from each statement to the end would take too long.
                    yield from _parameters_of(text, insert.end(), verdicts)
                spans, done = _values_of(text, insert.end(), verdicts)
                yield from spans

    def _refused(self, text: str) -> Iterator[Span]:
        for refused in _REFUSED.finditer(text):
            if self._names.judge(refused[1]) & KIND:
                yield in_quotes(text, refused.end()) or (refused.end(), len(text))

    def _faults(self, text: str) -> Iterator[Span]:
        if "input_value=" in text:
            for fault in _FAULT.finditer(text):
                end = _INPUT_END.search(text, fault.end())
                if self._names.judge(fault[1].rpartition(".")[2]) & KIND and end:
                    yield fault.end(), end.start()

    def _columns(self, text: str) -> Iterator[Span]:
        start = 0
        for _ in range(20):
            head = _TABLE_HEAD.match(text, start)
            if head:
                break
            start = text.find("\n", start) + 1
            if not start:
                return
        else:
            return
        delimiter = head[1]
        names = [cell.strip(" \t\"'") for cell in head[0].split(delimiter)]
        if any(len(name.split()) > _WORDS_OF_A_HEAD or name.startswith("-") for name in names):
            return  # a sentence, the help of a program
        verdicts = [self._names.judge(name) for name in names]
        if not any(verdict & KIND for verdict in verdicts):
            return
        field = re.compile(
            rf'[^\S\n]*(?:"((?:[^"]|"")*)(?:"|\Z)|([^{re.escape(delimiter)}\r\n]*))[^{re.escape(delimiter)}\r\n]*'
            rf"({re.escape(delimiter)}|\r?\n|\Z)"
        )
        position, column = text.find("\n", head.end()) + 1, 0
        while position < len(text) and (cell := field.match(text, position)):
            group = 1 if cell[1] is not None else 2
            verdict = verdicts[column] if column < len(verdicts) else 0
            if verdict & KIND and not stays(cell[group], verdict):
                yield cell.span(group)
            column = column + 1 if cell[3] == delimiter else 0
            if cell.end() == position:
                break
            position = cell.end()


def _in_quotes_behind(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    """Yield the places of the texts in quotes that open where *pattern* ends."""
    for found in pattern.finditer(text):
        if span := in_quotes(text, found.end()):
            yield span


def _parameters_of(text: str, position: int, verdicts: list[int]) -> Iterator[Span]:
    """Yield those of the parameters behind a statement that are for a secret column."""
    opening = _PARAMETERS.search(text, position)
    if opening is None:
        return
    position = opening.end()
    for verdict in verdicts:
        value = _PARAMETER.match(text, position)
        if value is None:
            return
        group = 1 if value[1] is not None else 2
        if verdict & KIND and value[group]:
            yield value.span(group)
        position = value.end()


def _values_of(text: str, position: int, verdicts: list[int]) -> tuple[list[Span], int]:
    """
    Return the values that stand at the place of a secret column in the tuples of an INSERT, and the
    end of the statement.
    """
    spans: list[Span] = []
    depth = column = 0
    for token in _SQL_TOKEN.finditer(text, position):
        sign = token[0]
        if not depth and sign not in "(," and sign.strip():
            return spans, token.start()
        if sign == "(":
            depth += 1
            if depth == 1:
                column = 0
        elif sign == ")":
            depth -= 1
        elif sign == "," and depth == 1:
            column += 1
        elif depth and column < len(verdicts) and verdicts[column] & KIND and sign.strip(" \t\r\n"):
            inner = sign.strip()
            bare = inner.strip("'")
            if (
                bare
                and inner.upper() not in ("N", "E", "NULL", "DEFAULT", "?")
                and not stays(bare, verdicts[column])
            ):
                start = token.start() + sign.index(bare)
                spans.append((start, start + len(bare)))
    return spans, len(text)


class _Cell(NamedTuple):
    """
    A cell of an HTML table, or of a list of names and values; `is_name` is whether it is a ``th``,
    a ``dt``, in the head, or bold.
    """

    is_name: bool
    columns: int
    start: int
    end: int


def _rows(text: str) -> Iterator[tuple[bool, list[_Cell]]]:
    """Yield the cells of each row, and whether it is the first one after the tag of a table."""
    cells: list[_Cell] = []
    is_table = is_head = False
    opening: re.Match[str] | None = None
    for tag in _TABLE_TAG.finditer(text):
        is_end, kind = tag[1], tag[2].lower()
        if opening:
            # Without an end of its own, it ends where the next one begins.
            start = opening.end()
            is_name = is_head or opening[2].lower() in ("th", "dt") or _BOLD.match(text, start)
            columns = min(int(opening[3] or 1), _MOST_COLUMNS)
            cells.append(_Cell(bool(is_name), max(1, columns), start, tag.start()))
            opening = None
        if kind in ("table", "thead", "tr", "dl"):
            if cells:
                yield is_table, cells
                cells, is_table = [], False
            is_table = is_table or kind in ("table", "dl")
            is_head = (kind == "thead" and not is_end) or (kind == "tr" and is_head)
        elif not is_end:
            opening = tag
    if cells:
        yield is_table, cells
