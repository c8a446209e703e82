"""A retention that counts from the event alone is found, whatever the column that holds its end."""

from __future__ import annotations

import pytest

from audit_handler.schema import column_ttls_of_past_events, ttl_of_past_events

DDL = (
    "CREATE TABLE d.t (`event_time` DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)), "
    "`event_date` Date DEFAULT toDate(event_time) COMMENT 'a \\'day, ( of TTL event_time', "
    "`ingested_at` DateTime DEFAULT now(), {column}, "
    "CONSTRAINT c CHECK event_time > 0) ENGINE = MergeTree ORDER BY event_date COMMENT 'x'"
)
YEARS = "toIntervalYear(2)"


@pytest.mark.parametrize(
    ("column", "ttl"),
    [
        (f"`keep` Date DEFAULT toDate(event_time) + {YEARS}", "keep"),
        (f"`keep` Date MATERIALIZED event_date + {YEARS} COMMENT 'x'", "keep"),
        (f"`end` Date ALIAS keep, `keep` Date DEFAULT event_date + {YEARS} CODEC(NONE)", "end"),
        (f"`my day` Date DEFAULT addYears(event_date, 2) TTL now() + {YEARS}", "`my day`"),
        ("`x` UInt8", f"event_date + {YEARS}"),
        ("`x` UInt8", f"event_date + {YEARS} WHERE action IN ('a)', 'ingested, b')"),
        ("`x` UInt8", f"ingested_at + {YEARS}, event_time + {YEARS}"),
    ],
)
def test_a_retention_by_the_event_is_found(column: str, ttl: str) -> None:
    engine = f"MergeTree ORDER BY event_date TTL {ttl} SETTINGS index_granularity = 8192"

    assert ttl == ttl_of_past_events(engine, DDL.format(column=column))


@pytest.mark.parametrize(
    ("column", "ttl"),
    [
        (f"`keep` Date DEFAULT greatest(event_date, toDate(ingested_at)) + {YEARS}", "keep"),
        (f"`keep` Date DEFAULT event_date + {YEARS}", "greatest(keep, toDate(ingested_at))"),
        ("`keep` Date", "keep"),
        ("`keep` Date DEFAULT today() COMMENT 'event_date'", f"keep + {YEARS}"),
        (f"`keep` Date DEFAULT event_date + {YEARS}", "keep TO VOLUME 'cold'"),
        (f"`keep` Date DEFAULT event_date + {YEARS}", "keep RECOMPRESS CODEC(ZSTD(9))"),
    ],
)
def test_a_retention_that_keeps_past_events_is_not(column: str, ttl: str) -> None:
    assert ttl_of_past_events(f"MergeTree ORDER BY a TTL {ttl}", DDL.format(column=column)) is None


def test_a_table_without_a_retention_has_none() -> None:
    assert ttl_of_past_events("MergeTree ORDER BY a", DDL.format(column="`a` UInt8")) is None
    assert {} == column_ttls_of_past_events("CREATE VIEW d.v AS SELECT 1")


def test_columns_that_lose_values_of_past_events_are_found() -> None:
    columns = (
        f"`body` String COMMENT 'b, c' CODEC(ZSTD(1)) TTL event_date + {YEARS}, "
        f"`old` String TTL keep SETTINGS (max_compress_block_size = 1), "
        f"`new` String TTL ingested_at + {YEARS}, `keep` Date DEFAULT event_date + {YEARS}"
    )

    assert {"body": f"event_date + {YEARS}", "old": "keep"} == column_ttls_of_past_events(
        DDL.format(column=columns)
    )
