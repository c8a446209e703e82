"""changes() reports what a table lacks; its statements add that, and leave the rest alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from audit_handler.clickhouse import ClickHouse
from audit_handler.errors import SetupError
from audit_handler.schema import changes, statements
from audit_handler.target import Target
from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import rows, target_of

pytestmark = pytest.mark.once


@pytest.fixture
def target(faults: LoopbackClickHouse, database: str) -> Target:
    return target_of(faults.dsn(database), database)


@pytest.fixture
def clickhouse(target: Target) -> Iterator[ClickHouse]:
    clickhouse = ClickHouse(target, create_table=False, async_insert=False)
    yield clickhouse
    clickhouse.close()


@pytest.fixture
def table(clickhouse: ClickHouse, target: Target) -> str:
    """A table with today's layout and one row; its name."""
    for sql in statements(target):
        clickhouse.command(sql)
    clickhouse.insert(rows(1), token="t")
    return f"{target.database}.{target.table}"


def fix(clickhouse: ClickHouse, target: Target) -> list[str]:
    """Run the proposed statements, and return the differences."""
    found = changes(clickhouse, target)
    for change in found:
        assert change.sql is not None
        clickhouse.command(change.sql)
    return [change.what for change in found]


def test_without_a_database_everything_is_created(clickhouse: ClickHouse, target: Target) -> None:
    name = target.database

    assert [f"database {name} is missing", f"table {name}.audit_logs is missing"] == fix(
        clickhouse, target
    )
    assert [] == changes(clickhouse, target)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("DROP COLUMN message", "column message of {} is missing"),
        ("DROP COLUMN logger", "column logger of {} is missing"),
        ("DROP INDEX ix_session_id", "index ix_session_id of {} is missing"),
        ("DROP CONSTRAINT time_is_sane", "constraint time_is_sane of {} is missing"),
        ("DROP PROJECTION by_day", "projection by_day of {} is missing"),
        (
            "RESET SETTING non_replicated_deduplication_window",
            "setting non_replicated_deduplication_window of {} is missing",
        ),
    ],
)
def test_missing_parts_are_added_in_their_place(
    clickhouse: ClickHouse,
    target: Target,
    faults: LoopbackClickHouse,
    table: str,
    damage: str,
    what: str,
) -> None:
    before = faults.command(f"DESCRIBE TABLE {table}")
    clickhouse.command(f"ALTER TABLE {table} {damage}")

    assert [what.format(table)] == fix(clickhouse, target)
    assert [] == changes(clickhouse, target)
    assert before == faults.command(f"DESCRIBE TABLE {table}")
    assert [{"n": 1}] == clickhouse.query(f"SELECT count() AS n FROM {table}")


def test_the_operators_own_parts_are_left_alone(
    clickhouse: ClickHouse, target: Target, table: str
) -> None:
    for change in (
        "ADD COLUMN tenant String",
        "ADD INDEX ix_tenant tenant TYPE bloom_filter GRANULARITY 1",
        "MODIFY TTL greatest(event_date, toDate(ingested_at)) + INTERVAL 7 YEAR",
        "MODIFY SETTING non_replicated_deduplication_window = 50000",
    ):
        clickhouse.command(f"ALTER TABLE {table} {change}")

    assert [] == changes(clickhouse, target)


@pytest.mark.parametrize(
    "default", ["DEFAULT toDate(event_time, 'Asia/Tokyo')", "DEFAULT today()", "", "MATERIALIZED 1"]
)
def test_a_day_of_the_operators_own_is_not_compared_with_the_time(
    clickhouse: ClickHouse, target: Target, default: str
) -> None:
    """The check of today's layout would reject the rows of an evening, or all those of the past."""
    create = statements(target)[1].replace("DEFAULT toDate(event_time)", default)
    clickhouse.command(statements(target)[0])
    clickhouse.command(re.sub(r"    CONSTRAINT date_matches_time .+\n", "", create))
    found = fix(clickhouse, target)
    clickhouse.insert(rows(1, event_time="2026-05-05 20:00:00"), token="t")

    assert [] == found


def test_a_check_that_rejects_days_of_the_operators_own_is_dropped(
    clickhouse: ClickHouse, target: Target, table: str
) -> None:
    """An earlier release added it."""
    clickhouse.command(
        f"ALTER TABLE {table} MODIFY COLUMN event_date DEFAULT toDate(event_time, 'Asia/Tokyo')"
    )
    found = fix(clickhouse, target)
    clickhouse.insert(rows(2, event_time="2026-05-05 20:00:00"), token="u")

    what = f"constraint date_matches_time of {table} rejects rows"
    assert [f"{what}, because event_date has a default of its own"] == found
    assert [] == changes(clickhouse, target)


def test_a_check_of_the_operators_own_stays(
    clickhouse: ClickHouse, target: Target, table: str
) -> None:
    for change in (
        "DROP CONSTRAINT date_matches_time",
        "MODIFY COLUMN event_date DEFAULT toDate(event_time) + 1",
        "ADD CONSTRAINT date_matches_time CHECK event_date = toDate(event_time) + 1",
    ):
        clickhouse.command(f"ALTER TABLE {table} {change}")

    assert [] == changes(clickhouse, target)


@pytest.mark.parametrize("engine", ["ReplacingMergeTree", "SummingMergeTree"])
def test_an_engine_that_refuses_a_projection_gets_the_other_parts(
    clickhouse: ClickHouse, target: Target, engine: str
) -> None:
    """Each run ended at the projection, before the deduplication window."""
    create = re.sub(
        r",\n    PROJECTION .+?\n(?=\)\n)", "\n", statements(target)[1], flags=re.DOTALL
    )
    create = create.replace("non_replicated_deduplication_window = 10000,", "")
    clickhouse.command(statements(target)[0])
    clickhouse.command(create.replace("ENGINE = MergeTree", f"ENGINE = {engine}"))
    name = f"{target.database}.{target.table}"

    warned, window = changes(clickhouse, target)
    assert f"{name} has the engine {engine}" in warned.what
    assert f"setting non_replicated_deduplication_window of {name} is missing" == window.what
    assert window.sql is not None
    clickhouse.command(window.sql)
    assert [warned] == changes(clickhouse, target)


def test_a_column_of_another_type_is_reported_and_never_changed(
    clickhouse: ClickHouse, target: Target, table: str
) -> None:
    """
    A wider column holds values that ours cannot: narrowing it would silently wrap 70000 to 4464.
    """
    clickhouse.command(f"ALTER TABLE {table} MODIFY COLUMN status_code UInt32")
    (change,) = changes(clickhouse, target)

    assert (f"column status_code of {table} is UInt32, not UInt16", None) == (
        change.what,
        change.sql,
    )
    assert "MODIFY COLUMN; or use another table" in change.remedy


@pytest.mark.parametrize("missing", ["action", "event_time", "agent_id", "event_date"])
def test_a_table_for_another_purpose_is_rejected(
    clickhouse: ClickHouse, target: Target, missing: str
) -> None:
    columns = {"action", "event_time", "agent_id", "event_date", "id"} - {missing}
    definitions = ", ".join(f"{name} String" for name in sorted(columns))
    clickhouse.command(statements(target)[0])
    clickhouse.command(
        f"CREATE TABLE {target.database}.{target.table} ({definitions}) "
        "ENGINE = MergeTree ORDER BY id"
    )

    with pytest.raises(SetupError, match=f"is not an audit table: it has no {missing}; .* --table"):
        changes(clickhouse, target)


def test_keys_without_a_column_are_reported_as_nothing(
    clickhouse: ClickHouse, target: Target
) -> None:
    create = statements(target)[1].replace("PARTITION BY toYYYYMM(event_date)\n", "")
    clickhouse.command(statements(target)[0])
    clickhouse.command(create)
    (change,) = changes(clickhouse, target)

    assert "is partitioned by nothing, not by toYYYYMM(event_date)" in change.what
    assert "audit-handler init --table" in change.remedy


def test_a_difference_that_needs_a_new_table_is_reported_without_a_statement(
    clickhouse: ClickHouse, target: Target
) -> None:
    name = f"{target.database}.{target.table}"
    create = (
        statements(target)[1]
        .replace("event_time DateTime64(6, 'UTC')", "event_time DateTime64(3, 'UTC')")
        .replace("PARTITION BY toYYYYMM(event_date)", "PARTITION BY toYear(event_date)")
        .replace("ORDER BY (event_date, agent_id, event_time)", "ORDER BY (agent_id, event_time)")
    )
    clickhouse.command(statements(target)[0])
    clickhouse.command(create)

    assert [
        (f"{name} is partitioned by toYear(event_date), not by toYYYYMM(event_date)", None),
        (
            f"{name} is sorted by agent_id, event_time, not by event_date, agent_id, event_time",
            None,
        ),
        (
            f"column event_time of {name} is DateTime64(3, 'UTC'), not DateTime64(6, 'UTC')",
            None,
        ),
    ] == [(change.what, change.sql) for change in changes(clickhouse, target)]


def make_earlier(clickhouse: ClickHouse, table: str, ttl: str) -> None:
    """Give *table* the retention and the constraint of the release 0.1.0."""
    clickhouse.command(f"ALTER TABLE {table} MODIFY TTL {ttl}")
    clickhouse.command(
        f"ALTER TABLE {table} DROP CONSTRAINT time_is_sane, ADD CONSTRAINT time_is_sane "
        "CHECK event_time >= toDateTime64('2020-01-01 00:00:00', 6, 'UTC')"
    )


def test_a_past_event_stays_after_an_earlier_table_is_updated(
    clickhouse: ClickHouse, target: Target, table: str
) -> None:
    make_earlier(clickhouse, table, "event_date + INTERVAL 7 YEAR")
    found = fix(clickhouse, target)
    for number, year in enumerate((1971, 2012, 2018, 2023), start=2):
        clickhouse.insert(rows(number, event_time=f"{year}-05-05 00:00:00"), token=str(year))
    clickhouse.command(f"OPTIMIZE TABLE {table} FINAL")

    assert [
        f"constraint time_is_sane of {table} rejects events from before 2020",
        f"the retention of {table} counts from the event alone, so it drops past events at once",
    ] == found
    assert [] == changes(clickhouse, target)
    assert [{"n": 5}] == clickhouse.query(f"SELECT count() AS n FROM {table}")
    assert [{"n": 1}] == clickhouse.query(
        "SELECT position(engine_full, 'toDate(ingested_at)) + toIntervalYear(7)') > 0 AS n "
        f"FROM system.tables WHERE database = '{target.database}'"
    )


@pytest.mark.parametrize(
    "ttl",
    [
        "event_date + INTERVAL 90 DAY DELETE WHERE action = 'READ'",
        "toDateTime(event_time) + INTERVAL 1 YEAR",
    ],
)
def test_a_retention_of_the_operators_own_is_reported_and_left(
    clickhouse: ClickHouse, target: Target, table: str, ttl: str
) -> None:
    clickhouse.command(f"ALTER TABLE {table} MODIFY TTL {ttl}")
    (change,) = changes(clickhouse, target)

    assert change.sql is None
    assert "drops past events at once: TTL " in change.what
    assert "greatest(event_date, toDate(ingested_at))" in change.remedy


def test_a_table_of_today_keeps_past_events(clickhouse: ClickHouse, table: str) -> None:
    for number, year in enumerate((1971, 2012, 2023), start=2):
        clickhouse.insert(rows(number, event_time=f"{year}-05-05 00:00:00"), token=str(year))
    clickhouse.command(f"OPTIMIZE TABLE {table} FINAL")

    assert [{"n": 4}] == clickhouse.query(f"SELECT count() AS n FROM {table}")
