"""
How answers are printed. Whatever was stored may have been sent by an attacker: no character reaches
the terminal that could move its cursor, colour it, or turn the reading direction.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import StringIO
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = [
    "console",
    "csv_line",
    "echo_csv",
    "echo_json",
    "echo_ndjson",
    "ndjson_line",
    "safe",
    "short",
    "table",
    "text_of",
]

_PIPE_WIDTH = 160
# Wide enough for a line of a table, where nobody says how wide the paper is.
_CELL_WIDTH = 120
# A message of 3,000 characters would otherwise be a table of 200 lines; `show` has it whole.
_FORMULA_STARTS = ("=", "+", "-", "@")


def safe(text: str) -> str:
    """
    Return *text* on one line, with every character that does not print as an escape: ``\\x1b``,
    ``\\n``, ``\\u202e``.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def short(text: str) -> str:
    """Return *text* made safe, and cut to what a line of many events has room for."""
    shown = safe(text)
    return shown if len(shown) <= _CELL_WIDTH else f"{shown[: _CELL_WIDTH - 3]}..."


def text_of(value: Any) -> str:
    """Return a value of a row as text: a float short, a dict as JSON, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return f"{value:,.1f}" if isinstance(value, float) else str(value)


def console(*, to_stderr: bool = False) -> Console:
    """Return a console on the stream of this moment, that reads no markup in what it is given."""
    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
    is_short: bool = True,
    style: Callable[[str, str], str] | None = None,
) -> Table:
    """
    Return a table to print; every value is made safe.

    Args:
        columns: The heads.
        rows: One value a column.
        title: Above it.
        right: The columns whose values stand to the right, as numbers do.
        whole: The columns whose values stay on one line.
        is_short: Cut long values.
        style: Returns the style of a value, from its column and text.
    """
    drawn = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    for name in columns:
        drawn.add_column(
            name,
            overflow="fold",
            justify="right" if name in right else "left",
            no_wrap=name in whole,
        )
    for row in rows:
        texts = [(short if is_short else safe)(text_of(value)) for value in row]
        styles = [style(*each) if style else "" for each in zip(columns, texts, strict=True)]
        drawn.add_row(*map(Text, texts, styles))
    return drawn


def echo_json(value: Any) -> None:
    """Print *value* as JSON of several lines."""
    _echo(_escaped(json.dumps(value, ensure_ascii=False, indent=2, default=str), keep="\n"))


def echo_ndjson(rows: Iterable[dict[str, Any]]) -> None:
    """Print one JSON object a line."""
    for row in rows:
        _echo(ndjson_line(row))


def ndjson_line(row: Mapping[str, Any]) -> str:
    """Return one JSON object on one line, without its end."""
    return _escaped(json.dumps(row, ensure_ascii=False, default=str))


def echo_csv(
    columns: Sequence[str], rows: Iterable[dict[str, Any]], *, has_head: bool = True
) -> None:
    """
    Print RFC 4180 lines. Characters that do not print stand as escapes, and what a spreadsheet
    would take for a formula begins with an apostrophe.
    """
    if has_head:
        _echo(csv_line(columns))
    for row in rows:
        _echo(csv_line([row.get(name) for name in columns]))


def csv_line(values: Iterable[Any]) -> str:
    """Return one line of CSV, without its end."""
    line = StringIO()
    csv.writer(line, lineterminator="").writerow(map(_cell, values))
    return line.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    text = safe(text_of(value))
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _escaped(text: str, keep: str = "") -> str:
    """Return JSON *text* with what does not print as JSON's own escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else json.dumps(c)[1:-1] for c in text)


def _echo(text: str) -> None:
    click.echo(text)
    # Whoever reads this from a pipe (tail -f) wants it now.
    sys.stdout.flush()
