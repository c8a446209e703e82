"""Read the files of ``sql/``, and fill in other names."""

from __future__ import annotations

import re
from pathlib import Path

from audit_handler.errors import ConfigurationError
from audit_handler.target import Target

__all__ = [
    "DEFAULT_RETENTION",
    "access_statements",
    "parameters",
    "query",
    "query_names",
    "retention_statements",
    "script",
    "scripts",
    "statements",
]

# How long a row is kept by default; the files of ``sql/`` say the same.
DEFAULT_RETENTION = "2 YEAR"

_PARAMETER = re.compile(r"\{(\w+):([^{}]+)\}")
_RETENTION = re.compile(r"\s*([1-9]\d{0,4})\s*(DAY|WEEK|MONTH|YEAR)S?\s*", re.IGNORECASE)


def statements(target: Target, *, retention: str = DEFAULT_RETENTION) -> list[str]:
    """
    Return the DDL that creates *target*'s database and table, one statement each, in the order to
    run them. Each may be run again.

    With *cluster* set these are the replicated local table and the Distributed table in front of
    it.

    Args:
        retention: How long a row is kept, like ``"2 YEAR"``, ``"18 MONTH"`` or ``"400 DAY"``. A
            table that exists keeps its own retention; see `retention_statements`.

    Raises:
        ConfigurationError: *retention* is not like these.
    """
    return scripts(_layout(target), target, retention=retention)


def retention_statements(target: Target, retention: str) -> list[str]:
    """
    Return the statements that change how long the rows of an existing table are kept.

    ClickHouse drops a month when all its rows are older, and may begin at once.

    Raises:
        ConfigurationError: *retention* is not like ``"2 YEAR"``.
    """
    return scripts(f"retention/{_layout(target)}", target, retention=retention)


def access_statements(target: Target) -> list[str]:
    """
    Return the statements that give access, in the order to run them: roles and their grants, the
    readers' settings profile, and one user for each role. Each may be run again.

    The statements that create users have the parameters ``{writer_password:String}``,
    ``{reader_password:String}`` and ``{auditor_password:String}``.
    """
    return scripts(f"access/{_layout(target)}", target)


def query_names() -> list[str]:
    """Return the names of the queries in ``sql/queries/``, sorted."""
    return sorted(path.stem for path in (sql_directory() / "queries").glob("*.sql"))


def query(name: str, target: Target) -> str:
    """
    Return the query *name* of ``sql/queries/`` for *target*'s table. The server fills in its
    parameters, ``{name:Type}``; ``docs/QUERIES.md`` lists them.

    Raises:
        ConfigurationError: There is no such query.
    """
    if name not in query_names():
        raise ConfigurationError(
            f"query={name!r} is not known; use one of {', '.join(query_names())}"
        )
    return script(f"queries/{name}.sql", target)


def parameters(sql: str) -> dict[str, str]:
    """Return the types of the parameters ``{name:Type}`` in *sql*, by name, in order."""
    return dict(_PARAMETER.findall(sql))


def scripts(directory: str, target: Target, *, retention: str = DEFAULT_RETENTION) -> list[str]:
    """Return the statements in *directory* of ``sql/``, one per file, in the order to run them."""
    names = sorted(path.name for path in (sql_directory() / directory).glob("*.sql"))
    return [script(f"{directory}/{name}", target, retention=retention) for name in names]


def script(path: str, target: Target, *, retention: str = DEFAULT_RETENTION) -> str:
    """
    Return the statement in the file *path* of ``sql/``, with *target*'s names and *retention*.
    """
    sql = (sql_directory() / path).read_text(encoding="utf-8")
    return _with_retention(_with_names(sql, target), retention)


def _layout(target: Target) -> str:
    return "cluster" if target.cluster else "node"


def sql_directory() -> Path:
    """Return ``sql/`` of the installed package, or of the checkout of an editable install."""
    package = Path(__file__).parents[1]
    return package / "sql" if (package / "sql").is_dir() else package.parents[1] / "sql"


def _with_names(sql: str, target: Target) -> str:
    """
    Put the target's names into *sql*.

    By text replacement, because ON CLUSTER, AS and GRANT do not accept query parameters. The names
    are checked identifiers.
    """
    names = {"audit_db": target.database, "audit_logs": target.table}
    for suffix in ("_local", "_before_upgrade", "_local_before_upgrade"):
        names[f"audit_logs{suffix}"] = f"{target.table}{suffix}"
    if target.cluster:
        names["{cluster}"] = target.cluster
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names))
    return pattern.sub(lambda found: names[found[0]], sql).strip().rstrip(";")


def _with_retention(sql: str, retention: str) -> str:
    given = _RETENTION.fullmatch(retention)
    if not given:
        raise ConfigurationError(
            f"retention={retention!r} is not a length of time; use one like 2 YEAR, 18 MONTH or "
            "400 DAY"
        )
    interval = f"INTERVAL {given[1]} {given[2].upper()}"
    return sql.replace(f"INTERVAL {DEFAULT_RETENTION}", interval)
