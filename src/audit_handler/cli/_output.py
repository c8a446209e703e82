"""
Printing: safe text, tables, JSON, CSV and private files.

An attacker may have sent any stored value. No character reaches the terminal that moves its cursor,
colours it, or changes the reading direction.
"""

from __future__ import annotations

import csv
import errno
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import IO, Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = [
    "block",
    "console",
    "csv_line",
    "echo_csv",
    "echo_json",
    "echo_ndjson",
    "ndjson_line",
    "private_file",
    "safe",
    "short",
    "table",
    "text_of",
]

# A pipe has no width; this one fits the widest table.
_PIPE_WIDTH = 160

# A message of 3,000 characters would fill 200 lines of a table. `show` prints it in full.
_CELL_WIDTH = 120

_FORMULA_STARTS = ("=", "+", "-", "@")


def safe(text: str) -> str:
    """Return *text* on one line, with unprintable characters escaped: ``\\x1b``, ``\\u202e``."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def short(text: str) -> str:
    """Return *text* made safe, and cut to the width of a table cell."""
    shown = safe(text)
    return shown if len(shown) <= _CELL_WIDTH else f"{shown[: _CELL_WIDTH - 3]}..."


def text_of(value: Any) -> str:
    """Return a value of a row as text: a float with one decimal, a dict as JSON, None empty."""
    if value is None:
        return ""
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return f"{value:,.1f}" if isinstance(value, float) else str(value)


def console(*, to_stderr: bool = False) -> Console:
    """Return a console on the present stdout or stderr, which interprets no markup."""
    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    right: Sequence[str] = (),
    unbroken: Sequence[str] = (),
    is_short: bool = True,
    style: Callable[[str, str], str] | None = None,
) -> Table:
    """
    Return a table to print; every value is made safe.

    Args:
        columns: The headings.
        rows: One value per column.
        title: Printed above the table.
        right: Columns to align right, such as numbers.
        unbroken: Columns that keep each value on one line.
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
            no_wrap=name in unbroken,
        )
    for row in rows:
        texts = [(short if is_short else safe)(text_of(value)) for value in row]
        styles = [style(*each) if style else "" for each in zip(columns, texts, strict=True)]
        drawn.add_row(*map(Text, texts, styles))
    return drawn


def block() -> str:
    """Return the character that bars are made of, ``#`` if stdout cannot encode the full block."""
    try:
        "█".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "#"
    return "█"


@contextmanager
def private_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """
    Write the file at *path* with mode 0600, all or nothing: it holds audit events.

    It is written beside *path* and renamed, so a file that exists keeps neither its mode nor its
    other names, and no link is followed.

    Raises:
        OSError: It cannot be created, or *path* is no regular file of this user.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    _require_replaceable(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    handle = os.open(temporary, flags, 0o600)
    try:
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _require_replaceable(path: Path) -> None:
    """Refuse all but a regular file of this user that has no other name, and a free name."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode):
        reason = "it is a link"
    elif not stat.S_ISREG(found.st_mode):
        reason = "it is not a regular file"
    elif found.st_uid != os.geteuid():
        reason = f"it belongs to another user, uid {found.st_uid}"
    elif found.st_nlink > 1:
        reason = "it has another name, a hard link"
    else:
        return
    raise FileExistsError(errno.EEXIST, f"not overwritten, {reason}; give another FILE", str(path))


def echo_json(value: Any) -> None:
    """Print *value* as indented JSON."""
    _echo(_escaped(_dumped(value, indent=2), keep="\n"))


def echo_ndjson(rows: Iterable[dict[str, Any]]) -> None:
    """Print one JSON object per line."""
    for row in rows:
        _echo(ndjson_line(row))


def ndjson_line(row: Mapping[str, Any]) -> str:
    """Return one JSON object on one line, without the newline."""
    return _escaped(_dumped(row))


def _dumped(value: Any, indent: int | None = None) -> str:
    # Stdout's error handler would write Python's escapes, which are not JSON.
    is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    return json.dumps(value, ensure_ascii=not is_unicode, indent=indent, default=str)


def echo_csv(
    columns: Sequence[str], rows: Iterable[dict[str, Any]], *, has_header: bool = True
) -> None:
    """
    Print RFC 4180 lines.

    Unprintable characters are escaped, and an apostrophe stands before a value that a spreadsheet
    would read as a formula.
    """
    if has_header:
        _echo(csv_line(columns))
    for row in rows:
        _echo(csv_line([row.get(name) for name in columns]))


def csv_line(values: Iterable[Any]) -> str:
    """Return one line of CSV, without the newline."""
    line = StringIO()
    csv.writer(line, lineterminator="").writerow(map(_cell, values))
    return line.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    text = safe(text_of(value))
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _escaped(text: str, keep: str = "") -> str:
    """Return JSON *text* with unprintable characters as JSON escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else json.dumps(c)[1:-1] for c in text)


def _echo(text: str) -> None:
    click.echo(text)
    # A reader of the pipe (tail -f) must not wait for a full buffer.
    sys.stdout.flush()
