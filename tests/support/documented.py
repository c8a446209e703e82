"""
The tables in ``docs/`` that are generated from ``sql/``.

``python -m tests.support.documented`` generates them; a test fails when they are out of date.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from audit_handler.schema import COLUMNS, Kind, parameters, query, query_names, statements
from audit_handler.target import Target
from tests.support.paths import DOCS

__all__ = ["PAGES", "with_table"]


TARGET = Target(scheme="http", host="h")
_FILLERS = {
    Kind.RECORD: "the handler",
    Kind.SERVER: "ClickHouse",
    **dict.fromkeys((Kind.UUID, Kind.TIME, Kind.OUTCOME), "the handler, or an extra"),
}
_TABLE = re.compile(
    r"(?<=<!-- made by python -m tests.support.documented -->\n).*?(?=<!-- end -->)", re.S
)
_COLUMN = re.compile(r"^    (\w+) (.+?)(?: DEFAULT .+?)? COMMENT '(.+?)'", re.MULTILINE)


def columns() -> str:
    """Return the columns of the table, with types and comments."""
    lines = ["| column | type | | filled by |", "|---|---|---|---|"]
    for name, kind, comment in _COLUMN.findall(statements(TARGET)[1]):
        filler = _FILLERS.get(COLUMNS[name], "an extra")
        lines.append(f"| `{name}` | `{kind}` | {comment} | {filler} |")
    return "\n".join(lines) + "\n"


def questions() -> str:
    """Return the questions and their parameters."""
    lines = ["| question | name | parameters |", "|---|---|---|"]
    for name in query_names():
        sql = query(name, TARGET)
        question = sql.removeprefix("-- ").partition("?")[0]
        given = ", ".join(f"`{p}`" for p in parameters(sql))
        lines.append(f"| {question}? | [{name}](../sql/queries/{name}.sql) | {given} |")
    return "\n".join(lines) + "\n"


PAGES: dict[str, Callable[[], str]] = {"TABLE.md": columns, "QUERIES.md": questions}


def with_table(page: str, table: str) -> str:
    """Return *page* with *table* between its marks."""
    text, count = _TABLE.subn(lambda _: table, page)
    assert count == 1, "the page has no marks, or several"
    return text


def main() -> None:
    for name, table in PAGES.items():
        path = DOCS / name
        path.write_text(with_table(path.read_text(), table()))


if __name__ == "__main__":
    main()
