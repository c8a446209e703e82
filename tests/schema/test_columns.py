"""The columns of the record and of the SQL are the same, and the SQL accepts other names."""

from __future__ import annotations

import re

import pytest

from audit_handler.schema import (
    COLUMNS,
    WRITTEN_COLUMNS,
    Kind,
    parameters,
    query,
    query_names,
    statements,
)
from audit_handler.schema._files import sql_directory
from audit_handler.target import Target
from tests.support.documented import PAGES, with_table
from tests.support.engines import Engine
from tests.support.paths import DOCS
from tests.support.tables import Connect, rows

NODE = Target(scheme="https", host="ch")
CLUSTER = Target(scheme="https", host="ch", cluster="{cluster}")
OTHER = Target(scheme="https", host="ch", database="trail", table="events", cluster="main")
TARGETS = {"node": NODE, "cluster": CLUSTER}

_TYPES = {
    Kind.TEXT: {"String", "LowCardinality(String)"},
    Kind.CONTENT: {"String"},
    Kind.UINT16: {"UInt16"},
    Kind.UINT32: {"UInt32"},
    Kind.IP: {"IPv6"},
    Kind.OUTCOME: {"LowCardinality(String)"},
    Kind.TIME: {"DateTime64(6, 'UTC')"},
    Kind.UUID: {"UUID"},
    Kind.RECORD: {"String", "LowCardinality(String)", "UInt64"},
    Kind.SERVER: {"Date", "DateTime64(3, 'UTC')"},
}


def columns_of(ddl: str) -> dict[str, str]:
    """Return the columns of a CREATE TABLE with the rest of their lines."""
    lines = (line.strip() for line in ddl.splitlines())
    found = (re.fullmatch(r"([a-z_]+) ([A-Z].*),", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def table(target: Target) -> str:
    return next(sql for sql in statements(target) if "MergeTree" in sql)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_the_table_has_the_records_columns_in_their_order(target: Target) -> None:
    assert list(COLUMNS) == list(columns_of(table(target)))


def test_the_clusters_table_has_the_columns_of_the_nodes() -> None:
    assert columns_of(table(NODE)) == columns_of(table(CLUSTER))


@pytest.mark.parametrize("name", COLUMNS)
def test_a_columns_type_holds_every_value_of_its_kind(name: str) -> None:
    definition = columns_of(table(NODE))[name]

    assert [kind for kind in _TYPES[COLUMNS[name]] if definition.startswith(f"{kind} ")]


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_has_a_comment(name: str) -> None:
    assert re.search(r" COMMENT '[^']{3,}'", columns_of(table(NODE))[name])


def test_an_insert_names_every_column_that_clickhouse_does_not_fill() -> None:
    assert set(COLUMNS) - {"event_date", "ingested_at"} == set(WRITTEN_COLUMNS)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_each_statement_is_a_single_one(target: Target) -> None:
    assert [] == [sql for sql in statements(target) if ";" in re.sub("'[^']*'", "", sql)]


@pytest.mark.parametrize(
    ("target", "kinds"),
    [
        (NODE, ["DATABASE", "TABLE"]),
        (CLUSTER, ["DATABASE", "TABLE", "TABLE"]),
    ],
    ids=TARGETS,
)
def test_statements_come_in_the_order_to_run_them(target: Target, kinds: list[str]) -> None:
    assert kinds == [sql.split()[1] for sql in statements(target)]


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_statement_may_be_run_again(target: Target) -> None:
    assert all(re.match(r"CREATE \w+ IF NOT EXISTS ", sql) for sql in statements(target))


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_the_default_names_leave_the_files_as_they_are(target: Target) -> None:
    directory = sql_directory() / ("cluster" if target.cluster else "node")
    files = [path.read_text().strip().rstrip(";") for path in sorted(directory.iterdir())]

    assert files == statements(target)


def test_other_names_replace_all_names_and_nothing_else() -> None:
    undo = [("trail", "audit_db"), ("events", "audit_logs"), ("'main'", "'{cluster}'")]

    renamed = "\n".join(statements(OTHER))
    restored = renamed
    for new, old in undo:
        restored = restored.replace(new, old)

    assert ("\n".join(statements(CLUSTER)), 0) == (restored, renamed.count("audit_"))


def test_a_name_that_contains_a_default_name_is_not_replaced_again() -> None:
    target = Target(scheme="https", host="ch", database="audit_logs", table="audit_db")

    assert statements(target)[1].startswith("CREATE TABLE IF NOT EXISTS audit_logs.audit_db\n")


def test_the_macros_of_a_cluster_stay_the_servers() -> None:
    assert "/{shard}/trail/events_local', '{replica}'" in statements(OTHER)[1]


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_of_the_documentation_are_those_of_the_files(page: str) -> None:
    """After a change of ``sql/``, run ``python -m tests.support.documented``."""
    text = (DOCS / page).read_text()

    assert with_table(text, PAGES[page]()) == text


def test_the_cost_of_each_query_is_documented() -> None:
    costs = (DOCS / "QUERY_COSTS.md").read_text()

    assert query_names() == sorted(re.findall(r"^\| (\w+) \| [a\d]", costs, re.MULTILINE))


def test_a_documented_parameter_is_one_of_a_question() -> None:
    text = (DOCS / "QUERIES.md").read_text()
    explained = text.partition("| parameter | value |")[2].partition("\n\n")[0]
    known = {name for question in query_names() for name in parameters(query(question, NODE))}

    assert known - {"agent_id", "resource_type", "resource_id"} == {
        name
        for line in explained.splitlines()
        for name in re.findall(r"`(\w+)`", line.rsplit("|", 2)[0])
        if name in known
    }


def test_the_table_has_the_columns_of_the_list_in_order(
    engine: Engine, connect: Connect, database: str
) -> None:
    connect(engine.dsn(database)).insert(rows(1), token="t")
    described = engine.query(
        "SELECT name, comment FROM system.columns "
        f"WHERE database = '{database}' AND table = 'audit_logs' ORDER BY position"
    )

    assert list(COLUMNS) == [column["name"] for column in described]
    assert all(column["comment"] for column in described)
