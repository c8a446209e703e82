"""``query``: the predefined queries of ``sql/queries/``."""

from __future__ import annotations

from typing import Any

import click

from audit_handler.cli._connections import reading
from audit_handler.cli._options import as_json, format_option, settings_options
from audit_handler.cli._output import console, echo_csv, echo_json, echo_ndjson, table
from audit_handler.cli._periods import period_options
from audit_handler.config import Settings
from audit_handler.schema import parameters, query_names
from audit_handler.schema import query as sql_of
from audit_handler.target import Target
from audit_handler.trail import Period

__all__ = ["query"]

# Parameters that have an option of their own.
_OF_OPTIONS = ("since", "until", "limit")


def _or_list(ctx: click.Context, _param: click.Parameter, name: str) -> str:
    """Return *name*, or list the queries and end; the list needs no ClickHouse."""
    if name or ctx.resilient_parsing:
        return name
    questions = []
    for each in query_names():
        sql = sql_of(each, Target(scheme="http"))
        question = f"{sql.removeprefix('-- ').partition('?')[0]}?"
        questions.append({"name": each, "question": question, "params": _wanted(sql)})
    if ctx.params.get("is_json"):
        echo_json({"questions": questions})
    else:
        rows = [(each["name"], each["question"], ", ".join(each["params"])) for each in questions]
        console().print(table(("name", "question", "--param"), rows, unbroken=("name",)))
    ctx.exit()


@click.command()
@settings_options()
@period_options
@click.argument("name", default="", callback=_or_list)
@click.option(
    "--param",
    "-p",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="Parameter of the query; repeat it for more. Separate the items of a list by commas.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=100,
    show_default=True,
    metavar="N",
    help="Number of rows.",
)
@format_option
@as_json
def query(
    settings: Settings,
    period: Period,
    name: str,
    given: tuple[str, ...],
    limit: int,
    format_: str,
    is_json: bool,
) -> None:
    """
    Run a predefined query, or list them all.

    Without NAME, list the queries and the parameters that each one needs. Their SQL is in
    sql/queries/. Example:

      audit-handler query by_user --since 30d --param agent_id=u-17
    """
    values = _values(name, sql_of(name, settings.target), given)
    with reading(settings) as trail:
        rows = trail.question(name, period, **values, limit=limit)
    columns = list(rows[0]) if rows else []
    if is_json or format_ == "json":
        echo_json({"rows": rows})
    elif format_ == "ndjson":
        echo_ndjson(rows)
    elif not rows:
        click.echo("the query returned no rows", err=True)
    elif format_ == "csv":
        echo_csv(columns, rows)
    else:
        numbers = [each for each in columns if isinstance(rows[0][each], int | float)]
        console().print(table(columns, [list(row.values()) for row in rows], right=numbers))


def _wanted(sql: str) -> list[str]:
    return [name for name in parameters(sql) if name not in _OF_OPTIONS]


def _values(name: str, sql: str, given: tuple[str, ...]) -> dict[str, Any]:
    """Return the values of the parameters of the query *name*."""
    types, wanted = parameters(sql), _wanted(sql)
    values: dict[str, Any] = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals or key not in wanted:
            raise click.UsageError(
                f"--param {each} does not fit; the parameters of {name}, as NAME=VALUE: "
                f"{', '.join(wanted) or 'none'}"
            )
        values[key] = value.split(",") if types[key].startswith("Array") else value
    if missing := [each for each in wanted if each not in values]:
        raise click.UsageError(f"{name} needs {' '.join(f'--param {m}=...' for m in missing)}")
    return values
